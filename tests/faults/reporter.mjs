// The table that ends the run. The run fails here if anything came to harm, or if a promised kind of fault never happened.
import { readFileSync } from 'node:fs';

const harms = ['lost', 'duplicated', 'oversold', 'untrue', 'unresolved', 'dropped'];
const sums = ['tried', 'acknowledged', 'unknown', 'resolved'];

export default class FaultReporter {
  #failure;

  onRunComplete() {
    const lines = readFileSync(process.env.FAULT_REPORT, 'utf8')
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    const kinds = [...new Set(lines.flatMap((line) => Object.keys(line.faults)))].sort();
    const faults = kinds.map((kind) => [kind, lines.reduce((sum, line) => sum + (line.faults[kind] ?? 0), 0)]);
    const all = faults.reduce((sum, [, number]) => sum + number, 0);
    const rows = [
      ...faults.map(([kind, number]) => [`  ${kind}`, number]),
      ['faults injected', all],
      ...sums.map((name) => [`purchases ${name}`, lines.reduce((sum, line) => sum + line[name], 0)]),
      ...harms.map((name) => [name, lines.reduce((sum, line) => sum + (line.harms[name] ?? 0), 0)]),
    ];
    const table = rows.map(([name, number]) => `${name.padEnd(44)}${String(number).padStart(10)}`).join('\n');
    process.stdout.write(`\nFAULT_SEED=${process.env.FAULT_SEED}\n${table}\n\n`);
    const harmed = rows.filter(([name, number]) => harms.includes(name) && number > 0);
    const never = faults.filter(([, number]) => number === 0);
    if (harmed.length > 0) this.#failure = new Error(`harm was done: ${harmed.map(([name]) => name).join(', ')}`);
    else if (never.length > 0) this.#failure = new Error(`never injected: ${never.map(([kind]) => kind).join(', ')}`);
  }

  getLastError() {
    return this.#failure;
  }
}
