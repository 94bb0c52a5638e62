// Reads mirrorstream.yaml: errors name the file, the line and the path of what is wrong.
import { readFile } from 'node:fs/promises';
import { type ConfigFile, type ConfigIssue, checkConfig, configPath, MirrorstreamError } from '@mirrorstream/domain';
import { type Document, isNode, LineCounter, parseDocument } from 'yaml';

export interface LoadedConfig {
  readonly config: ConfigFile;
  /** `mirrorstream.yaml:7: mirrors.candidate.url`, for messages about a value found wrong later. */
  readonly place: (path: readonly (string | number)[]) => string;
}

const maxFileBytes = 1 << 20;

export async function readConfigFile(file: string): Promise<LoadedConfig> {
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw bad(`cannot read ${file} (${cause.code})`, 'Name an existing file with -f.');
  });
  if (text.length > maxFileBytes) throw bad(`${file} is larger than 1 MiB`, 'Is it the right file?');
  return parseConfigText(text, file);
}

/** Throws `badInput` with one line per thing that is wrong. */
export function parseConfigText(text: string, file: string): LoadedConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [syntax] = document.errors;
  if (syntax !== undefined) {
    const at = lines.linePos(syntax.pos[0]).line;
    // Only what kind of error: the parser's own message quotes the line, which may hold a password.
    throw bad(`${file}:${at}: not valid YAML (${syntax.code})`, 'Check the indentation and quotes of that line.');
  }
  const place = (path: readonly (string | number)[]): string =>
    `${file}:${lineOf(document, lines, path)}: ${configPath(path)}`;
  const check = checkConfig(document.toJS());
  if (check.kind === 'ok') return { config: check.config, place };
  const said = check.issues.map((issue) => sayIssue(issue, place));
  throw bad(said.join('\n'), 'docs/configuration.md describes every key.');
}

function sayIssue({ path, message, hint }: ConfigIssue, place: LoadedConfig['place']): string {
  return `${place(path)}: ${message}${hint === undefined ? '' : ` ${hint}`}`.trim();
}

/** The line of a path, or of the nearest part of it that is in the file. */
function lineOf(document: Document, lines: LineCounter, path: readonly (string | number)[]): number {
  for (let length = path.length; length > 0; length--) {
    const node: unknown = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}

function bad(message: string, hint: string): MirrorstreamError {
  return new MirrorstreamError('badInput', message, { stage: 'configuration', hint });
}
