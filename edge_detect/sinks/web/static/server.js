// Asking the server that the page came from.

/** Where something beside the page is: its own address may hold a password, which fetch refuses. */
export const here = (path) => new URL(path, location.origin + location.pathname);

/** What an answer that is an error says. */
export async function explain(response) {
  const text = await response.text();
  try {
    const { detail } = JSON.parse(text);
    return typeof detail === "string" ? detail : detail[0].msg;
  } catch {
    return text || `${response.status} ${response.statusText}`;
  }
}
