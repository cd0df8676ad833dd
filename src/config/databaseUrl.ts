/** What DATABASE_URL may contain. */

/** The TLS modes that pg knows. It ignores any other, and then connects with TLS although a typing error may have meant otherwise. */
const sslModes = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'];
/** pg treats these as verify-full, and prints a warning of eight lines that announces another meaning for its next major version. */
const aliases = ['prefer', 'require', 'verify-ca'];

const query = (url: string) => (URL.canParse(url) ? new URL(url).searchParams : new URLSearchParams());

/** @returns why the TLS mode of the URL is wrong, continuing a sentence; undefined if it is right */
export function wrongSslMode(url: string): string | undefined {
  const mode = query(url).get('sslmode');
  if (mode === null || sslModes.includes(mode)) return undefined;
  return `has the unknown sslmode "${mode}"; use one of ${sslModes.join(', ')}`;
}

/** The URL with the TLS mode that pg uses, so that pg does not warn. With `uselibpqcompat` the modes have libpq's meaning and stay. */
export function withPlainSslMode(url: string): string {
  const mode = query(url).get('sslmode');
  if (mode === null || !aliases.includes(mode) || query(url).has('uselibpqcompat')) return url;
  return url.replace(`sslmode=${mode}`, 'sslmode=verify-full');
}
