"""What several tests share: servers, clients, streams, cameras, slow counterparts of kernels."""
