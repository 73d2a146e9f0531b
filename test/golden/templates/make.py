"""Writes cases.json: small templates, one for each thing that chat templates do, and what transformers renders of them.

    pip install transformers==5.24.0 jinja2 && python3 test/golden/templates/make.py
"""
import json
import pathlib
import re

from transformers.utils.chat_template_utils import render_jinja_template

MESSAGES = [
    {"role": "system", "content": "S'q\"é"},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": {"a": 1, "b": [True, None, 2.5]}}}]},
    {"role": "user", "content": "bye\n"},
]
TOOLS = [{"type": "function", "function": {"name": "f", "description": "d <x> é", "parameters": {
    "type": "object", "properties": {"a": {"type": "integer"}}, "required": []}}}]
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}

# One a line; those that need several lines are below.
LINES = r'''
{{ [1,'a',none,true,{'k':"it's"}] }}
{{ {'a':1,'b':[1.5,2.0]} }}
{{ none }}{{ true }}{{ 1.0 }}{{ 1e3 }}{{ 7/2 }}{{ 6/2 }}{{ 7//2 }}{{ -7//2 }}{{ -7%3 }}{{ 2**3 }}
{{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1] }}
{{ undefinedvar }}|{{ undefinedvar is defined }}
{{ 'a' ~ undefinedvar ~ 'b' }}
{{ 'a' + 1 }}
{{ 1 + 'a' }}
{{ none + 'a' }}
{{ undefinedvar + 'a' }}
{{ undefinedvar.foo }}
{{ messages[5] }}|
{{ messages[0].foo }}|{{ messages[0].foo.bar }}
{{ messages[0]['role'] in ['user','x'] }}{{ 'x' in 'xyz' }}{{ 1 in [1,2] }}{{ 'a' in {'a':1} }}{{ 'q' not in undefinedvar }}
{{ undefinedvar in ['a'] }}|{{ none in ['a'] }}|{{ none == none }}{{ none in [none] }}
{{ [1,2] == [1,2] }}{{ {'a':1} == {'a':1} }}{{ [1] in [[1],[2]] }}{{ 1 == 1.0 }}{{ 1 == true }}{{ '1' == 1 }}
{{ '' or 'x' }}{{ 'a' and 'b' }}{{ not '' }}{{ [] or {} or 0 or 'z' }}
{{ 'x' if false }}|{{ 'x' if true else 'y' }}
{{ (1,2)[0] }}{{ (1,) }}{{ (1,2) }}{{ () }}
{{ 'abc'[1:] }}{{ 'abc'[::-1] }}{{ 'abc'[-1] }}{{ [1,2,3][:2] }}{{ [1,2,3][::-1] }}{{ 'héllo😀x'[5:] }}{{ 'a😀b'[1] }}
{{ 'a😀b'|length }}{{ 'abc'|length }}{{ [1,2]|count }}{{ {'a':1}|length }}
{{ ' a '.strip() }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'xyaxy'.lstrip('yx') }}|{{ 'ab\n\n'.rstrip('\n') }}
{{ 'a,b,c'.split(',') }}{{ 'a b  c'.split() }}{{ 'a,b,c'.split(',',1) }}{{ 'a,b,c'.rsplit(',',1) }}
{{ 'a\nb'.splitlines() }}{{ 'abc'.replace('b','X') }}{{ 'aaa'.replace('a','b',2) }}{{ 'abc'.upper() }}{{ 'ABC'.lower() }}{{ 'hello world'.title() }}{{ "it's a dog".title() }}{{ 'hELLO'.capitalize() }}
{{ 'abc'.find('c') }}{{ 'abc'.index('b') }}{{ 'abcb'.count('b') }}{{ 'abcb'.rfind('b') }}{{ 'a'.zfill(3) }}{{ '12'.isdigit() }}{{ 'ab'.isalpha() }}{{ 'Ab'.swapcase() }}{{ 'abc'.startswith('a') }}{{ 'abc'.endswith(('c','d')) }}
{{ 'a'.join(['x','y']) }}{{ ', '.join(['1','2']) }}{{ 'x'.center(5) }}|{{ 'x'.ljust(3) }}|{{ 'x'.rjust(3) }}|
{{ 'prefix-a'.removeprefix('prefix-') }}{{ 'a.txt'.removesuffix('.txt') }}{{ 'a-b-c'.partition('-') }}{{ '{} and {x}'.format(1,x=2) }}{{ '%s-%d' % ('a', 3) }}{{ '%05.2f' | format(3.14159) }}{{ 'a' * 3 }}{{ [0]*3 }}{{ '=' * 10 }}
{{ {'a':1}.get('a') }}{{ {'a':1}.get('b') }}{{ {'a':1}.get('b', 'd') }}{{ {'a':1}.keys()|list }}{{ {'a':1}.values()|list }}{{ {'a':1}.items()|list }}
{% for k, v in {'a':1,'b':2}.items() %}{{ k }}={{ v }};{% endfor %}{% for k, v in {'b':1,'a':2}|dictsort %}{{ k }}={{ v }};{% endfor %}
{% for k in {'a':1,'b':2} %}{{ k }}{% endfor %}{% for c in 'abc' %}{{ c }}-{% endfor %}{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(5,0,-2) %}{{ i }}{% endfor %}
{% for x in [1,2,3] %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}|{% endfor %}
{% for x in [1,2,3] %}{{ loop.cycle('a','b') }}{% endfor %}{% for x in [1,1,2] %}{{ loop.changed(x) }}{% endfor %}
{% for x in [] %}a{% else %}empty{% endfor %}{% for x in [1,2,3,4] if x % 2 == 0 %}{{ x }}{{ loop.index }}{% endfor %}
{% for x in [1,2,3,4] %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 4 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% set x = 1 %}{% for i in [1,2] %}{% set x = 2 %}{% endfor %}{{ x }}
{% set ns = namespace(x=1, y='a') %}{% for i in [1,2] %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c %}block {{ a }}{% endset %}{{ c }}{% set d | upper %}x{% endset %}{{ d }}
{% macro f(a, b='d', c=none) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ f(1) }}{{ f(1, c=2) }}{{ f(1,'x') }}
{% macro g(n) %}{% if n > 0 %}{{ n }}{{ g(n-1) }}{% endif %}{% endmacro %}{{ g(3) }}
{% macro h() %}{{ varargs }}{{ kwargs }}{{ caller() if caller is defined }}{% endmacro %}{{ h(1,2,x=3) }}
{% macro w() %}<{{ caller() }}>{% endmacro %}{% call w() %}inner{% endcall %}
{% macro w2() %}<{{ caller('A') }}>{% endmacro %}{% call(x) w2() %}{{ x }}{% endcall %}
{% filter upper %}abc{% endfilter %}{% raw %}{{ x }}{% endraw %}{# comment #}
{% with x=1, y=2 %}{{ x + y }}{% endwith %}
{% if messages is iterable and messages is not string and messages is not mapping %}yes{% endif %}{{ messages[0] is mapping }}{{ 'a' is string }}{{ 1 is number }}{{ 1.5 is float }}{{ 1 is integer }}{{ true is boolean }}{{ none is none }}{{ [] is sequence }}{{ 'a' is sequence }}{{ {} is sequence }}{{ {} is iterable }}{{ f is callable }}
{{ 3 is odd }}{{ 4 is even }}{{ 9 is divisibleby(3) }}{{ 1 is sameas(1) }}{{ 'a' is in(['a']) }}{{ 1 is eq(1) }}{{ 2 is gt(1) }}{{ 'a' is lower }}{{ true is true }}{{ 1 is true }}{{ false is false }}{{ x is undefined }}{{ 2 is ne 3 }}{{ 2 is ge 2 }}{{ 'upper' is filter }}
{{ messages|map(attribute='role')|list }}{{ messages|map(attribute='role')|join(', ') }}{{ ['a','b']|map('upper')|list }}{{ [1,2]|map('string')|join('-') }}
{{ messages|selectattr('role','equalto','user')|list|length }}{{ messages|selectattr('role','==','user')|list|length }}{{ messages|rejectattr('role','equalto','user')|list|length }}{{ messages|selectattr('tool_calls','defined')|list|length }}{{ messages|selectattr('role','in',['user','x'])|list|length }}{{ messages|selectattr('content')|list|length }}
{{ [1,2,3,4]|select('odd')|list }}{{ [1,none,0]|select|list }}{{ [1,2,3]|reject('equalto',2)|list }}{{ [none,1]|reject('none')|list }}
{{ [3,1,2]|sort }}{{ [3,1,2]|sort(reverse=true) }}{{ ['b','A','c']|sort }}{{ [1,2,3]|first }}{{ [1,2,3]|last }}{{ [1,2,3]|sum }}{{ [1,2,3]|min }}{{ [1,2,3]|max }}{{ [1,1,2]|unique|list }}{{ [1,2]|reverse|list }}{{ 'abc'|reverse }}{{ 'abc'|first }}{{ 'abc'|last }}{{ 'abc'|list }}
{{ messages|groupby('role')|length }}{{ [1,2,3,4,5]|batch(2)|list }}{{ [1,2,3,4,5]|slice(2)|list }}
{{ 'a'|default('x') }}{{ u|default('x') }}{{ ''|default('x') }}{{ ''|default('x',true) }}{{ u|d('y') }}{{ none|default('x') }}{{ none|default('x', boolean=true) }}{{ u.a|default('z') }}
{{ '  a '|trim }}|{{ 'xax'|trim('x') }}|{{ 'a b'|replace(' ','_') }}|{{ 'abc'|upper|lower|capitalize|title }}|{{ 'a\nb\n\nc'|indent }}|{{ 'a\nb'|indent(2) }}|{{ 'a\nb'|indent(2,true) }}|{{ 'a\nb'|indent(width=1,first=true) }}
{{ '3'|int }}{{ 'x'|int }}{{ 'x'|int(5) }}{{ 3.9|int }}{{ -3.9|int }}{{ '3.5'|float }}{{ 3.14159|round(2) }}{{ 3.5|round }}{{ 2.5|round }}{{ 2.4|round(0,'ceil') }}{{ -3|abs }}{{ '3'|string }}{{ [1]|string }}{{ none|string }}{{ true|string }}{{ {'a':1}|string }}
{{ '<b>&"\''|e }}{{ '<b>'|escape }}{{ '<b>'|safe }}{{ '<b>'|forceescape }}{{ 'a b'|urlencode }}{{ 'a b c'|wordcount }}{{ 'abcdef'|truncate(4) }}{{ 'hello big world'|truncate(9) }}
{{ {'b':1,'a':[1,{'c':none}]}|tojson }}|{{ [1.0,2.5,true,'é"\\ \n\t\u0001\u2028<>&\'']|tojson }}|{{ 'x'|tojson }}|{{ none|tojson }}|{{ []|tojson }}|{{ {}|tojson }}
{{ {'b':1,'a':[1,{'c':none}]}|tojson(indent=2) }}|{{ {'b':1,'a':[1,2]}|tojson(indent=4, separators=(',',':')) }}|{{ {'b':1,'a':[]}|tojson(sort_keys=true) }}|{{ 'é'|tojson(ensure_ascii=true) }}|{{ {'e':{},'l':[]}|tojson(indent=2) }}
{{ {'a':1}|items|list }}{{ {'a':1}|list }}{{ {'b':1,'a':2}|dictsort }}{{ {'b':1,'a':2}|dictsort(by='value') }}
{{ range(3)|list }}{{ range(3) }}{{ dict(a=1,b=2) }}{{ [1,2]|join }}{{ [1,none,'a']|join(',') }}{{ [{'a':1},{'a':2}]|join(',', attribute='a') }}{{ 'abc'|join('-') }}
{{ cycler is defined }}{{ joiner is defined }}{% set j = joiner(', ') %}{{ j() }}a{{ j() }}b{% set c = cycler('x','y') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}
{% generation %}a b{% endgeneration %}|{%- generation -%} x {%- endgeneration -%} y
  {% generation %}
  a
  {% endgeneration %}
b
{{ raise_exception('no ' ~ 1) }}
{% if true %}
  x
{% endif %}
  {%- if true -%}  y  {%- endif -%}
 z
{%+ if true %} plus {% endif +%}
end
{{ 'a' -}}   
   b
{{- 'c' }}
{{ "a\\nb\n\"q\" \u00e9 \x41 \101" }}{{ 'it\'s' }}{{ "a" "b" }}
{{ messages[-1].content }}{{ messages[-1]['content'][0:3] }}{{ messages[1:]|length }}{{ messages[::-1][0].role }}{{ messages|length }}{{ (messages|last).role }}
{{ messages[0] }}
{{ messages }}
{% set l = [] %}{% set _ = l.append(1) %}{{ l }}{{ l.pop() }}{{ l }}{% set d = {} %}{% set _ = d.update({'a':1}) %}{{ d }}
{{ 1 if x is not defined else 2 }}{{ x is not none }}{{ not x is defined }}
{{ 'a' < 'b' }}{{ 1 < 2 < 3 }}{{ 'B' < 'a' }}{{ 1 <= 1.0 }}{{ [1,2] < [1,3] }}{{ 1 != 2 }}
{{ -1 }}{{ +1 }}{{ 1 - -1 }}{{ 1_000 }}{{ 0x1f }}{{ 0b101 }}{{ 0o17 }}{{ 1.5e2 }}{{ 10 % 3 }}{{ 2 ** -1 }}{{ 0.1 + 0.2 }}{{ 1e16 }}{{ 1e-5 }}
{{ "%s" % "a" }}{{ "%s %s" % ("a","b") }}{{ "%.2f" % 1.5 }}{{ "%5d|%-5s|" % (3,'a') }}{{ "%(a)s" % {'a':1} }}{{ '{0:.1f}'.format(2.25) }}{{ '{:>5}'.format('a') }}
{{ strftime_now('%Y') is string }}{{ strftime_now('%d %b %Y')|length }}
{% for m in messages recursive %}{{ m.role }}{% endfor %}{% for a, b in [[1,2],[3,4]] %}{{ a }}{{ b }}{% endfor %}{% for m in messages %}{{ loop.depth }}{% endfor %}
{% set x = {'a': {'b': [1,2]}} %}{{ x.a.b[1] }}{{ x['a'].b|last }}{{ x.a.get('z', {}).get('q') }}{{ x.items()|first }}
{% set content = 'a</think>b' %}{{ content.split('</think>')[-1].lstrip('\n') }}{{ content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') }}{{ (content|string)[:2] }}
{% import 'x' as y %}
{% include 'x' %}
{{ tools[0].function.name }}{{ tools|tojson(indent=4) }}
{% for tool in tools %}{{ tool.function|tojson }}{% if not loop.last %},{% endif %}{% endfor %}
{{ messages[0].get('role') }}{{ messages[0].items()|list|length }}{{ messages[0].keys() }}{{ messages[0].values() }}
{{ {'a':1}.items() }}
{{ ('a','b') ~ '' }}{{ [('a',1)]|list }}{{ {'t':(1,2)}|tojson }}
{{ 'Straße'.upper() }}{{ 'ǅ'.lower() }}{{ 'ab12'.isalnum() }}{{ ' '.isspace() }}
{{ "a" if messages[0].role == "user" and messages|length > 1 else "b" }}{{ (1 if true else 2) + 3 }}{{ [x for x in [1]] }}
{% do messages.append(1) %}
{%- set counter = namespace(value=0) -%}{%- for m in messages -%}{%- set counter.value = counter.value + 1 -%}{%- endfor -%}{{ counter.value }}
{{ bos_token + 'x' }}{{ eos_token }}{{ documents is none }}{{ documents }}{{ tools is not none }}{{ add_generation_prompt }}
{{ [[1,2],[3]]|sum(start=[]) }}{{ [{'a':1}]|sum(attribute='a') }}{{ [{'a':2},{'a':1}]|sort(attribute='a') }}{{ [{'a':1}]|map(attribute='b', default='x')|list }}{{ messages|map(attribute='content')|map('length')|list }}
{{ "x"|center(5) }}{{ {'a':1}|attr('a') }}{{ 'abc'|attr('upper') is callable }}
'''
TAKEN_TOGETHER = {"  {% generation %}": 4, "{% if true %}": 7, "{{ 'a' -}}   ": 3}
LONG = [
    "a\r\nb{{ 'x\r\ny' }}\r\n", "{{ 'x' }}\n\n", "\n\n{{ 1 }}\n", "{%- for m in messages %}\n    {{- m.role }}\n{% endfor %}\n",
    "{# c #}\nx\n  {# d #}\ny", "a  {{- 1 -}}  b\n  {{ 2 }}\n", "{{ '{% generation %}' }}",
    "{%- if x is defined -%}a{%- elif y -%}b{%- else -%}c{%- endif -%}\n  d", "line1\n  {%- set x = 1 %}\n  text\n",
]


def templates():
    lines = LINES.strip("\n").split("\n")
    at = 0
    while at < len(lines):
        count = TAKEN_TOGETHER.get(lines[at], 1)
        template = "\n".join(lines[at:at + count])
        at += count
        yield template
        outputs = re.findall(r"\{\{.*?\}\}", template)
        if len(outputs) > 1 and "{%" not in template and "\n" not in template:
            yield from outputs
    yield from LONG


def render(template):
    try:
        return render_jinja_template([MESSAGES], tools=TOOLS, chat_template=template, add_generation_prompt=True, **TOKENS)[0][0]
    except Exception:  # what it says is Python's: that it fails is the point
        return None


cases = [[template, render(template)] for template in dict.fromkeys(templates())]
path = pathlib.Path(__file__).with_name("cases.json")
lines = ",\n".join(json.dumps(case) for case in cases)
path.write_text(f'{{"messages":{json.dumps(MESSAGES)},\n"tools":{json.dumps(TOOLS)},\n"tokens":{json.dumps(TOKENS)},\n"cases":[\n{lines}\n]}}\n')
