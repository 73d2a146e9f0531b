"""openai of PyPI: chat, Responses, completions, embeddings; whole, streamed, with tools, refused."""

import asyncio

import openai
from pydantic import BaseModel


class Trip(BaseModel):
    city: str
    days: int


def client(url, key="none"):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


def says(text):
    return [{"role": "user", "content": text}]


def chat(url, model, content, **options):
    answer = client(url).chat.completions.create(model=model, messages=says(content), **options)
    choice = answer.choices[0]
    return {
        "text": choice.message.content,
        "finish": choice.finish_reason,
        "prompt": answer.usage.prompt_tokens,
        "total": answer.usage.total_tokens,
        "completion": answer.usage.completion_tokens,
    }


def chat_streamed(url, model, content, **options):
    usage = {"include_usage": True}
    chunks = list(
        client(url).chat.completions.create(
            model=model, messages=says(content), stream=True, stream_options=usage, **options
        )
    )
    return {
        "text": "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices),
        "finish": [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1],
        "completion": chunks[-1].usage.completion_tokens,
    }


def chat_async(url, model, contents):
    async def run():
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as one:
            answers = [one.chat.completions.create(model=model, messages=says(text)) for text in contents]
            return [answer.choices[0].message.content for answer in await asyncio.gather(*answers)]

    return asyncio.run(run())


def chat_tool(url, model, content, result):
    """A round trip: the call as the stream's helper puts it together, then the answer to its result."""
    tools = [openai.pydantic_function_tool(Trip, name="weather")]
    one = client(url)
    messages = says(content)
    with one.chat.completions.stream(model=model, messages=messages, tools=tools) as stream:
        called = stream.get_final_completion().choices[0]
    call = called.message.tool_calls[0]
    messages += [called.message, {"role": "tool", "tool_call_id": call.id, "content": result}]
    answer = one.chat.completions.create(model=model, messages=messages, tools=tools)
    return {
        "finish": called.finish_reason,
        "name": call.function.name,
        "arguments": call.function.parsed_arguments.model_dump(),
        "answer": answer.choices[0].message.content,
    }


def chat_parsed(url, model, content):
    answer = client(url).chat.completions.parse(model=model, messages=says(content), response_format=Trip)
    return answer.choices[0].message.parsed.model_dump()


def responses(url, model, content, next_content):
    one = client(url)
    first = one.responses.create(model=model, input=content)
    with one.responses.stream(model=model, input=next_content, previous_response_id=first.id) as stream:
        types = [event.type for event in stream]
        second = stream.get_final_response()
    items = one.responses.input_items.list(first.id).data
    one.responses.delete(first.id)
    return {
        "texts": [first.output_text, second.output_text],
        "types": [types[0], types[-1]],
        "status": first.status,
        "asked": items[0].content[0].text,
        "gone": refusal(lambda: one.responses.retrieve(first.id)),
    }


def responses_tool(url, model, content, result):
    tools = [openai.pydantic_function_tool(Trip, name="weather")["function"] | {"type": "function"}]
    one = client(url)
    first = one.responses.parse(model=model, input=content, tools=tools)
    call = first.output[0]
    output = [{"type": "function_call_output", "call_id": call.call_id, "output": result}]
    second = one.responses.create(model=model, input=output, previous_response_id=first.id, tools=tools)
    return {"name": call.name, "arguments": call.parsed_arguments, "answer": second.output_text}


def responses_parsed(url, model, content):
    return client(url).responses.parse(model=model, input=content, text_format=Trip).output_parsed.model_dump()


def completion(url, model, prompt, **options):
    one = client(url).completions
    whole = one.create(model=model, prompt=prompt, **options)
    streamed = one.create(model=model, prompt=prompt, stream=True, **options)
    return [whole.choices[0].text, "".join(chunk.choices[0].text for chunk in streamed if chunk.choices)]


def embeddings(url, model, texts):
    """Once in base64, which the client asks for and unpacks, once as numbers."""
    one = client(url).embeddings
    packed = one.create(model=model, input=texts)
    plain = one.create(model=model, input=texts, encoding_format="float")
    return {
        "vectors": [item.embedding for item in packed.data],
        "plain": [item.embedding for item in plain.data],
        "tokens": packed.usage.prompt_tokens,
    }


def models(url):
    return [model.id for model in client(url).models.list()]


def refusal(ask):
    try:
        ask()
    except openai.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.param]
    return None


def refusals(url, model):
    one = client(url)
    chats = one.chat.completions
    return {
        "model": refusal(lambda: chats.create(model="nobody", messages=says("Hi"))),
        "bound": refusal(lambda: chats.create(model=model, messages=says("Hi"), temperature=-1)),
        "empty": refusal(lambda: chats.create(model=model, messages=[])),
        "tool": refusal(lambda: chats.create(model=model, messages=says("Hi"), tool_choice="required")),
        "response": refusal(lambda: one.responses.retrieve("resp_nobody")),
    }


def wrong_key(url, key):
    return [refusal(lambda: client(url, used).models.list()) for used in ("another", key)]
