// What the scripted model says where it uses a tool, in the template's own form, and the patch that it applies.

export function call(name: string, args: object): string {
  return `<tool_call>\n${JSON.stringify({ name, arguments: args })}\n</tool_call>`;
}

export const PATCH = `*** Begin Patch
*** Update File: greeting.txt
@@
-hello
+good morning
*** End Patch
`;
