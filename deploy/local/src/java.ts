// Finds Java and Maven, and says what to install where they are missing.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { MirrorstreamError } from '@mirrorstream/domain';

export interface JavaRuntime {
  readonly command: string;
  readonly majorVersion: number;
}

const minimumJava = 17;

/** The Java of JAVA_HOME or PATH. Throws `missingPrerequisite` when there is none or it is older than 17. */
export async function findJava(env: NodeJS.ProcessEnv = process.env): Promise<JavaRuntime> {
  const command = env['JAVA_HOME'] ? join(env['JAVA_HOME'], 'bin', 'java') : 'java';
  const hint = `Install a Java ${minimumJava} or newer: ${installHint('java')}`;
  const output = await run(command, ['-version'], env);
  // macOS has a stub in /usr/bin/java that answers "Unable to locate a Java Runtime".
  const version = /version "(\d+)(?:\.(\d+))?/.exec(output ?? '');
  if (version === null) {
    throw new MirrorstreamError(
      'missingPrerequisite',
      `Java is needed for the embedded Kafka and was not found (${command})`,
      {
        stage: 'kafka',
        hint,
      },
    );
  }
  const majorVersion = version[1] === '1' ? Number(version[2]) : Number(version[1]);
  if (majorVersion < minimumJava) {
    throw new MirrorstreamError(
      'missingPrerequisite',
      `Java ${majorVersion} is too old for the embedded Kafka (${command})`,
      {
        stage: 'kafka',
        hint: env['JAVA_HOME'] ? `${hint}; then point JAVA_HOME at it.` : hint,
      },
    );
  }
  return { command, majorVersion };
}

/** The name of the Maven command. Throws `missingPrerequisite` when there is none. */
export async function findMaven(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const command = 'mvn';
  if ((await run(command, ['-version'], env)) !== undefined) return command;
  throw new MirrorstreamError(
    'missingPrerequisite',
    'Maven is needed once, to fetch the embedded Kafka, and was not found (mvn)',
    {
      stage: 'kafka',
      hint: `Install it: ${installHint('maven')}`,
    },
  );
}

function installHint(what: 'java' | 'maven'): string {
  if (process.platform === 'darwin') return what === 'java' ? '`brew install openjdk@17`' : '`brew install maven`';
  const debian = what === 'java' ? 'openjdk-17-jre-headless' : 'maven';
  const fedora = what === 'java' ? 'java-17-openjdk-headless' : 'maven';
  return `on Debian and Ubuntu \`apt-get install ${debian}\`, on Fedora \`dnf install ${fedora}\`.`;
}

/** What the command printed, or undefined when it cannot be started or fails. */
function run(command: string, args: string[], env: NodeJS.ProcessEnv): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(command, args, { env, timeout: 30_000 }, (error, stdout, stderr) => {
      resolve(error === null ? `${stdout}\n${stderr}` : undefined);
    });
  });
}
