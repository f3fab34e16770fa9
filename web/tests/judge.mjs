// The rule of crates/rullama/src/score.rs on a question of the held-out set: content and thought equal those of an expected
// answer but for white space around them, tool calls equal as JSON values. That is all the rule there is, so it is
// compared rather than carried in the wasm that ships.
import { isDeepStrictEqual } from 'node:util';

/** All right answers: `expected` is one, or a list. */
const answers = (expected) => [expected].flat();

/** Whether `reply` ({content, thinking, toolCalls}) is a right answer. */
export function isRight(expected, reply) {
  return answers(expected).some((wanted) => {
    const text = (key) => (wanted[key] ?? '').trim() === reply[key].trim();
    return text('content') && text('thinking') && isDeepStrictEqual(wanted.tool_calls ?? [], reply.toolCalls);
  });
}

/** The ids that another program should generate too: the reference's, where it has one and only one answer is right. */
export function onlyIds({ expected, reference }) {
  return answers(expected).length === 1 ? reference?.ids : undefined;
}
