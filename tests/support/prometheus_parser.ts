/** The text of `/metrics` as a real parser reads it: Debian's python3-prometheus-client. */

/** One line of it. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What belongs together under one HELP and TYPE. */
export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const PROGRAM = `
import json, sys
from prometheus_client.parser import text_string_to_metric_families as parse
families = [{"name": f.name, "type": f.type, "help": f.documentation,
             "samples": [{"name": s.name, "labels": s.labels, "value": s.value} for s in f.samples]}
            for f in parse(sys.stdin.read())]
json.dump(families, sys.stdout)
`;

/** The Python that has the parser, or `null`: the system's own, or the first of the path. */
export const pythonWithParser: string | null = ["/usr/bin/python3", "python3"].find((python) => {
  try {
    return new Deno.Command(python, {
      args: ["-c", "import prometheus_client.parser"],
      stdout: "null",
      stderr: "null",
    }).outputSync().success;
  } catch {
    return false;
  }
}) ?? null;

/** The families of a text. Fails with what the parser says of a wrong one. */
export async function parseMetrics(text: string): Promise<Metrics> {
  const child = new Deno.Command(pythonWithParser!, {
    args: ["-c", PROGRAM],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new Metrics(JSON.parse(new TextDecoder().decode(stdout)));
}

/** What was read. */
export class Metrics {
  constructor(readonly families: readonly Family[]) {}

  /** Lines of all families together. */
  get seriesCount(): number {
    return this.families.reduce((sum, { samples }) => sum + samples.length, 0);
  }

  /** Every value of a label, of any family. */
  get labelValues(): string[] {
    return this.families.flatMap(({ samples }) =>
      samples.flatMap(({ labels }) => Object.values(labels))
    );
  }

  /** The samples of this name, without `postern_`. */
  samples(name: string): Sample[] {
    const whole = `postern_${name}`;
    return this.families.flatMap(({ samples }) =>
      samples.filter((sample) => sample.name === whole)
    );
  }

  /** The one value under these labels. */
  value(name: string, labels: Record<string, string> = {}): number {
    const found = this.samples(name).filter((sample) =>
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value)
    );
    if (found.length !== 1) {
      throw new Error(`${found.length} values of ${name} ${JSON.stringify(labels)}`);
    }
    return found[0]!.value;
  }
}
