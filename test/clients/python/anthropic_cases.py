"""anthropic of PyPI: messages whole, streamed, counted, with tools, refused."""

import asyncio

import anthropic
from pydantic import BaseModel


class Trip(BaseModel):
    city: str
    days: int


SCHEMA = Trip.model_json_schema() | {"additionalProperties": False}
TOOLS = [{"name": "weather", "description": "The weather of a city", "input_schema": SCHEMA}]


def client(url, key="none"):
    return anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)


def says(text):
    return [{"role": "user", "content": text}]


def usage_of(message):
    usage = message.usage
    return {
        "input": usage.input_tokens,
        "read": usage.cache_read_input_tokens or 0,
        "written": usage.cache_creation_input_tokens or 0,
        "output": usage.output_tokens,
    }


def message(url, model, content, **body):
    options = {"max_tokens": 100, "extra_body": body}
    one = client(url).messages
    answer = one.create(model=model, messages=says(content), **options)
    counted = one.count_tokens(model=model, messages=says(content))
    return {
        "text": "".join(block.text for block in answer.content),
        "stop": answer.stop_reason,
        "usage": usage_of(answer),
        "counted": counted.input_tokens,
    }


def streamed(url, model, content, **body):
    options = {"max_tokens": 100, "extra_body": body}
    with client(url).messages.stream(model=model, messages=says(content), **options) as stream:
        types = [event.type for event in stream]
        answer = stream.get_final_message()
    return {
        "text": "".join(block.text for block in answer.content),
        "stop": answer.stop_reason,
        "types": sorted(set(types)),
        "usage": usage_of(answer),
    }


def several(url, model, contents):
    async def run():
        async with anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as one:
            asked = [one.messages.create(model=model, max_tokens=100, messages=says(text)) for text in contents]
            return [answer.content[0].text for answer in await asyncio.gather(*asked)]

    return asyncio.run(run())


def tool(url, model, content, result):
    one = client(url).messages
    options = {"model": model, "max_tokens": 100, "tools": TOOLS}
    messages = says(content)
    with one.stream(messages=messages, **options) as stream:
        called = stream.get_final_message()
    use = called.content[0]
    back = {"type": "tool_result", "tool_use_id": use.id, "content": result}
    messages += [{"role": "assistant", "content": called.content}, {"role": "user", "content": [back]}]
    answer = one.create(messages=messages, **options)
    return {"stop": called.stop_reason, "name": use.name, "input": use.input, "answer": answer.content[0].text}


def tool_runner(url, model, content, result):
    """The package runs the tool itself."""
    seen = []

    @anthropic.beta_tool
    def weather(city: str, days: int) -> str:
        """The weather of a city

        Args:
            city: which
            days: how many
        """
        seen.append([city, days])
        return result

    runner = client(url).beta.messages.tool_runner(
        model=model, max_tokens=100, tools=[weather], messages=says(content)
    )
    return {"seen": seen, "answer": runner.until_done().content[0].text}


def parsed(url, model, content):
    answer = client(url).messages.parse(
        model=model, max_tokens=100, messages=says(content), output_format=Trip
    )
    return answer.parsed_output.model_dump()


def refusal(ask):
    try:
        ask()
    except anthropic.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.type, bool(error.request_id)]
    return None


def refusals(url, model):
    one = client(url).messages
    return {
        "model": refusal(lambda: one.create(model="nobody", max_tokens=9, messages=says("Hi"))),
        "bound": refusal(lambda: one.create(model=model, max_tokens=-1, messages=says("Hi"))),
        "empty": refusal(lambda: one.create(model=model, max_tokens=9, messages=[])),
        "counted": refusal(lambda: one.count_tokens(model="nobody", messages=says("Hi"))),
    }


def wrong_key(url, key):
    return [refusal(lambda: client(url, used).models.list()) for used in ("another", key)]


def models(url):
    return [model.id for model in client(url).models.list()]
