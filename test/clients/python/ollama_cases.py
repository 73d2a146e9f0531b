"""ollama of PyPI: what is here, chat, generate, embed; whole, streamed, with tools, refused."""

import asyncio

import ollama


def says(text):
    return [{"role": "user", "content": text}]


def discovery(url, model):
    one = ollama.Client(host=url)
    shown = one.show(model)
    return {
        "names": [entry.model for entry in one.list().models],
        "capabilities": shown.capabilities,
        "context": max(value for key, value in shown.modelinfo.items() if key.endswith(".context_length")),
        "template": shown.template,
        "running": [entry.model for entry in one.ps().models],
    }


def chat(url, model, content, **options):
    one = ollama.Client(host=url)
    whole = one.chat(model, says(content), options=options)
    parts = list(one.chat(model, says(content), options=options, stream=True))
    return {
        "text": whole.message.content,
        "reason": whole.done_reason,
        "counts": [whole.prompt_eval_count, whole.eval_count],
        "streamed": "".join(part.message.content for part in parts),
        "done": [part.done for part in parts].count(True),
        "duration": parts[-1].total_duration,
    }


def several(url, model, contents):
    async def run():
        one = ollama.AsyncClient(host=url)
        answers = await asyncio.gather(*[one.chat(model, says(text)) for text in contents])
        return [answer.message.content for answer in answers]

    return asyncio.run(run())


def tool(url, model, content, result):
    """The tool is a Python function, which the package describes."""

    def weather(city: str, days: int) -> str:
        """
        The weather of a city

        Args:
          city (str): which
          days (int): how many
        """
        return f"{result} {city} {days}"

    one = ollama.Client(host=url)
    messages = says(content)
    message = one.chat(model, messages, tools=[weather]).message
    call = message.tool_calls[0].function
    messages += [message, {"role": "tool", "tool_name": call.name, "content": weather(**call.arguments)}]
    answer = one.chat(model, messages, tools=[weather])
    return {"name": call.name, "arguments": dict(call.arguments), "answer": answer.message.content}


def formatted(url, model, content, schema):
    return ollama.Client(host=url).chat(model, says(content), format=schema).message.content


def generate(url, model, prompt, next_prompt, **options):
    one = ollama.Client(host=url)
    first = one.generate(model, prompt, options=options)
    parts = list(one.generate(model, prompt, options=options, stream=True))
    one.generate(model, next_prompt, context=first.context, options=options)
    return [first.response, "".join(part.response for part in parts)]


def filled(url, model, prompt, suffix):
    return ollama.Client(host=url).generate(model, prompt, suffix=suffix).response


def embed(url, model, texts):
    one = ollama.Client(host=url)
    many = one.embed(model, texts)
    return {
        "vectors": [list(vector) for vector in many.embeddings],
        "tokens": many.prompt_eval_count,
        "old": list(one.embeddings(model, texts[0]).embedding),
    }


def refusal(ask):
    try:
        ask()
    except ollama.ResponseError as error:
        return [error.status_code, error.error]
    return None


def refusals(url, model):
    one = ollama.Client(host=url)
    return {
        "show": refusal(lambda: one.show("other")),
        "chat": refusal(lambda: one.chat("other", says("Hi"))),
        "streamed": refusal(lambda: list(one.chat("other", says("Hi"), stream=True))),
        "think": refusal(lambda: one.chat(model, says("Hi"), think=True)),
        "pull": refusal(lambda: one.pull("acme/other")),
    }
