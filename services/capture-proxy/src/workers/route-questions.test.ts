// Every question is answered once: by who knows, by nobody, or in spite of a worker that says nothing.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { defaultSupervisorBounds, type SupervisorBounds } from '../bound-flags.ts';
import type { Route } from '../forward/connect-source.ts';
import { type Peer, RouteQuestions } from './route-questions.ts';

const key = Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 2);
const route: Route = { address: { host: 'db2', port: 5432 }, ip: '10.0.0.2' };

class Worker implements Peer {
  ready = true;
  readonly asked: number[] = [];
  readonly answers: (readonly [number, Route | null])[] = [];

  whose(question: number): void {
    this.asked.push(question);
  }

  answer(question: number, found: Route | null): void {
    this.answers.push([question, found]);
  }
}

const scene = (bounds: Partial<SupervisorBounds> = {}) => {
  const workers = [new Worker(), new Worker(), new Worker()] as const;
  return { workers, questions: new RouteQuestions(() => workers, { ...defaultSupervisorBounds, ...bounds }) };
};

describe('the server of a cancel', () => {
  it('is told by the worker whose session it is; the asker is not asked', () => {
    const { workers, questions } = scene();
    const [asker, second, third] = workers;
    questions.ask(asker, 7, key);
    assert.deepEqual([asker.asked.length, second.asked.length, third.asked.length], [0, 1, 1]);
    const [question = 0] = second.asked;
    questions.onAnswer(second, question, null);
    assert.deepEqual(asker.answers, []);
    questions.onAnswer(third, question, route);
    assert.deepEqual(asker.answers, [[7, route]]);
  });

  it('is nobody’s when all say so, have died, or are not there', () => {
    const { workers, questions } = scene();
    const [asker, second, third] = workers;
    questions.ask(asker, 1, key);
    questions.onAnswer(second, second.asked[0] ?? 0, null);
    questions.onDied(third);
    second.ready = false;
    third.ready = false;
    questions.ask(asker, 2, key);
    assert.deepEqual(asker.answers, [
      [1, null],
      [2, null],
    ]);
  });

  it('is nobody’s when as many questions are under way as may be', () => {
    const { workers, questions } = scene({ routeQuestions: 1 });
    const [asker, second] = workers;
    questions.ask(asker, 1, key);
    questions.ask(asker, 2, key);
    assert.deepEqual(asker.answers, [[2, null]]);
    assert.equal(questions.open, 1);
    questions.onAnswer(second, second.asked[0] ?? 0, route);
    assert.equal(questions.open, 0);
  });

  it('is not waited for beyond the deadline, and what is said later is not heard', async () => {
    const { workers, questions } = scene({ routeTimeoutMs: 1 });
    const [asker, second] = workers;
    await new Promise<void>((resolve) => {
      asker.answer = (question, found) => {
        asker.answers.push([question, found]);
        resolve();
      };
      questions.ask(asker, 3, key);
    });
    questions.onAnswer(second, second.asked[0] ?? 0, route);
    assert.deepEqual(asker.answers, [[3, null]]);
  });
});
