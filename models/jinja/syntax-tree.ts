// What a template says, as a tree: statements and expressions. Pure data. Made by parser.ts and expression-parser.ts,
// computed by statements.ts and expressions.ts.

export type JinjaExpression =
  | {
      readonly kind: 'constant';
      readonly value: string | number | boolean | null;
      readonly isFloat?: boolean;
    }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list' | 'tuple'; readonly items: readonly JinjaExpression[] }
  | { readonly kind: 'dict'; readonly entries: readonly (readonly [JinjaExpression, JinjaExpression])[] }
  | { readonly kind: 'attribute'; readonly target: JinjaExpression; readonly name: string }
  | { readonly kind: 'item'; readonly target: JinjaExpression; readonly index: JinjaExpression }
  | {
      readonly kind: 'slice';
      readonly target: JinjaExpression;
      readonly start: JinjaExpression | null;
      readonly stop: JinjaExpression | null;
      readonly step: JinjaExpression | null;
    }
  | { readonly kind: 'call'; readonly target: JinjaExpression; readonly args: Arguments }
  | {
      readonly kind: 'filter';
      readonly target: JinjaExpression | null; // null: what a block contains
      readonly name: string;
      readonly args: Arguments;
    }
  | {
      readonly kind: 'test';
      readonly target: JinjaExpression;
      readonly name: string;
      readonly args: Arguments;
    }
  | { readonly kind: 'unary'; readonly operator: '-' | '+' | 'not'; readonly operand: JinjaExpression }
  | {
      readonly kind: 'binary';
      readonly operator: string;
      readonly left: JinjaExpression;
      readonly right: JinjaExpression;
    }
  | {
      readonly kind: 'compare';
      readonly first: JinjaExpression;
      readonly rest: readonly { readonly operator: string; readonly operand: JinjaExpression }[];
    }
  | { readonly kind: 'concat'; readonly parts: readonly JinjaExpression[] }
  | {
      readonly kind: 'condition';
      readonly test: JinjaExpression;
      readonly taken: JinjaExpression;
      readonly otherwise: JinjaExpression | null;
    };

export interface Arguments {
  readonly positional: readonly { readonly value: JinjaExpression; readonly spread: boolean }[];
  readonly named: readonly { readonly name: string | null; readonly value: JinjaExpression }[]; // null: ** of a dict
}

export type AssignTarget =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'member'; readonly object: string; readonly name: string } // of a namespace
  | { readonly kind: 'targets'; readonly targets: readonly AssignTarget[] };

export interface Parameter {
  readonly name: string;
  readonly default: JinjaExpression | null;
}

export type Statement =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'output'; readonly value: JinjaExpression }
  | {
      readonly kind: 'if';
      readonly branches: readonly { readonly test: JinjaExpression; readonly body: Body }[];
      readonly otherwise: Body;
    }
  | {
      readonly kind: 'for';
      readonly target: AssignTarget;
      readonly over: JinjaExpression;
      readonly filter: JinjaExpression | null;
      readonly recursive: boolean;
      readonly body: Body;
      readonly otherwise: Body;
    }
  | { readonly kind: 'set'; readonly target: AssignTarget; readonly value: JinjaExpression }
  | {
      readonly kind: 'setBlock';
      readonly target: AssignTarget;
      readonly filter: JinjaExpression | null;
      readonly body: Body;
    }
  | {
      readonly kind: 'macro';
      readonly name: string;
      readonly parameters: readonly Parameter[];
      readonly body: Body;
    }
  | {
      readonly kind: 'call';
      readonly parameters: readonly Parameter[];
      readonly call: JinjaExpression;
      readonly body: Body;
    }
  | { readonly kind: 'filter'; readonly filter: JinjaExpression; readonly body: Body }
  | {
      readonly kind: 'with';
      readonly bindings: readonly { readonly target: AssignTarget; readonly value: JinjaExpression }[];
      readonly body: Body;
    }
  | { readonly kind: 'scope'; readonly body: Body }
  | { readonly kind: 'break' | 'continue' };

export type Body = readonly Statement[];
