"""One page for all cameras, and the page of each below it.

companion   keeps the server up, and its cameras known
hub         what is answered where
camera      the page of one camera
history     the report, made on demand
reports     what the interface answers
"""
