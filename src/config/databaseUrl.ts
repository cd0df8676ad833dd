/** What DATABASE_URL may contain. */

/** The TLS modes that pg knows. It ignores any other, and then connects with TLS although a typing error may have meant otherwise. */
const sslModes = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'];
/** pg treats these as verify-full, and prints a warning of eight lines that announces another meaning for its next major version. */
const aliases = ['prefer', 'require', 'verify-ca'];

const query = (url: string) => (URL.canParse(url) ? new URL(url).searchParams : new URLSearchParams());

/** @returns what is wrong in the URL, continuing a sentence that begins with the name of the setting; undefined if nothing is */
export function wrongIn(url: string): string | undefined {
  if (!URL.canParse(url)) {
    return 'is not a valid URL; its port must be a number, and special characters in its password must be written as %XX';
  }
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
