/**
 * Goal: the commands that a start prints work as they are, in every shell, at every paste.
 * Method: the text, and the shells of this machine with a `curl` that prints its arguments.
 */
import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { greeting } from '../../src/greeting.js';

const about = { address: 'http://127.0.0.1:3000', documented: true, addresses: [], where: '/data', whoMay: 'Anyone may buy.' };
const shells = ['sh', 'bash', 'dash', 'zsh'].filter((shell) => spawnSync(shell, ['-c', 'true']).status === 0);

/** The commands of the text, with their continued lines. */
const commandsIn = (text: string) => text.match(/^ {2}curl (?:.*\\\n)*.*$/gm) ?? [];

/** What curl would get, one argument a line. */
function argumentsOf(shell: string, command: string, env: Record<string, string> = {}): string[] {
  const script = `curl() { printf '%s\\n' "$@"; }\n${command}`;
  const { stdout, status } = spawnSync(shell, ['-c', script], { encoding: 'utf8', env: { PATH: process.env['PATH'], ...env } });
  expect(status).toBe(0);
  return stdout.trim().split('\n');
}

test.each(shells)('in %s each paste of a purchase has a key of its own', (shell) => {
  const [, buy] = commandsIn(greeting({ ...about, generatedToken: 'token' }));
  const keys = [1, 2].map(() => argumentsOf(shell, buy!).find((argument) => argument.startsWith('Idempotency-Key: ')));
  for (const key of keys) expect(key).toMatch(/^Idempotency-Key: [0-9a-f]{24}$/);
  expect(keys[0]).not.toBe(keys[1]);
  expect(argumentsOf(shell, buy!)).toContain('{"quantity":2}');
});

test.each(shells)('in %s a token of the environment is sent and not printed', (shell) => {
  const text = greeting({ ...about, generatedToken: undefined });
  expect(text).toContain('The admin token is that of ADMIN_TOKEN\n');
  const [create, , confirm] = commandsIn(text);
  for (const command of [create!, confirm!]) {
    expect(argumentsOf(shell, command, { ADMIN_TOKEN: 'secret' })).toContain('Authorization: Bearer secret');
  }
});

test('three commands create, buy and confirm, and lead to the address', () => {
  const commands = commandsIn(greeting({ ...about, generatedToken: 'token' }));
  expect(commands).toHaveLength(3);
  for (const command of commands) expect(command).toContain(' http://127.0.0.1:3000/');
});
