// The calls that an answer made, and the form in which a person plays the tools. Before it: turn.tsx.
import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { Code } from './code-block.tsx';
import { Form, TextArea } from './controls.tsx';
import type { ToolCall } from './conversation.ts';

export interface ToolCallsProps {
  readonly calls: readonly ToolCall[];
  readonly isOpen: boolean;
  readonly onResults: (results: ReadonlyMap<string, string>) => void;
}

export function ToolCalls({ calls, isOpen, onResults }: ToolCallsProps): VNode {
  const [results, setResults] = useState<ReadonlyMap<string, string>>(new Map());
  return (
    <Form
      class="calls"
      onSubmit={() => onResults(new Map(calls.map(({ id }) => [id, results.get(id) ?? ''])))}
    >
      {calls.map(({ id, name, arguments: args }) => (
        <div class="call card" key={id}>
          <p class="call-name">
            calls <strong>{name}</strong>
          </p>
          <pre>
            <Code code={indented(args)} language="json" />
          </pre>
          {isOpen && (
            <label class="field">
              Result
              <TextArea
                rows={2}
                placeholder="What the tool answers"
                value={results.get(id) ?? ''}
                onChange={(value) => setResults(new Map([...results, [id, value]]))}
              />
            </label>
          )}
        </div>
      ))}
      {isOpen && (
        <button type="submit" class="primary small">
          Give back {calls.length === 1 ? 'the result' : 'the results'}
        </button>
      )}
    </Form>
  );
}

/** As far as it has come: what is no JSON yet stays as it is. */
function indented(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
