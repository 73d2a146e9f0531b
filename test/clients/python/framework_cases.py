"""litellm, langchain and llm of PyPI: what they make of the server in each of the dialects that they speak."""

import os
import subprocess
import sys
import tempfile

os.environ.update(
    ANTHROPIC_API_KEY="none",
    LITELLM_LOCAL_MODEL_COST_MAP="True",  # nothing is fetched
    OPENAI_API_KEY="none",
)

import litellm
from langchain_anthropic import ChatAnthropic
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel


class Trip(BaseModel):
    """A trip."""

    city: str
    days: int


WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "The weather", "parameters": Trip.model_json_schema()},
}


def says(text):
    return [{"role": "user", "content": text}]


def bases(url):
    """A model's prefix in litellm, and the address that it wants."""
    return {
        "openai": f"{url}/v1",
        "anthropic": url,
        "ollama_chat": url,
        "hosted_vllm": f"{url}/v1",
        "lm_studio": f"{url}/v1",
        "llamafile": f"{url}/v1",
    }


def litellm_chats(url, model, content):
    def answers(prefix, base):
        asked = {"messages": says(content), "api_base": base, "max_tokens": 100}
        whole = litellm.completion(f"{prefix}/{model}", **asked)
        chunks = litellm.completion(f"{prefix}/{model}", stream=True, **asked)
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        return [whole.choices[0].message.content, streamed]

    return {prefix: answers(prefix, base) for prefix, base in bases(url).items()}


def litellm_tool(url, model, content):
    def called(prefix):
        answer = litellm.completion(
            f"{prefix}/{model}", messages=says(content), api_base=bases(url)[prefix], tools=[WEATHER], max_tokens=200
        )
        [call] = answer.choices[0].message.tool_calls
        return [call.function.name, Trip.model_validate_json(call.function.arguments).model_dump()]

    return {prefix: called(prefix) for prefix in ("openai", "anthropic", "ollama_chat")}


def litellm_overflow(url, model):
    def error(prefix):
        asked = {"messages": says("word " * 60_000), "api_base": bases(url)[prefix], "max_tokens": 4}
        try:
            litellm.completion(f"{prefix}/{model}", **asked)
        except Exception as raised:
            return type(raised).__name__

    return {prefix: error(prefix) for prefix in ("openai", "anthropic")}


def langchain_models(url, model):
    return {
        "openai": ChatOpenAI(model=model, base_url=f"{url}/v1", api_key="none", max_retries=0),
        "responses": ChatOpenAI(
            model=model, base_url=f"{url}/v1", api_key="none", max_retries=0, use_responses_api=True
        ),
        "anthropic": ChatAnthropic(model=model, base_url=url, api_key="none", max_retries=0, max_tokens=200),
        "ollama": ChatOllama(model=model, base_url=url),
    }


def langchain_chats(url, model, content):
    def answers(one):
        return [one.invoke(content).text, "".join(chunk.text for chunk in one.stream(content))]

    return {name: answers(one) for name, one in langchain_models(url, model).items()}


def langchain_tool(url, model, content):
    def called(one):
        [call] = one.bind_tools([WEATHER]).invoke(content).tool_calls
        return [call["name"], call["args"]]

    return {name: called(one) for name, one in langchain_models(url, model).items()}


def langchain_structured(url, model, content):
    one = langchain_models(url, model)["openai"]
    return one.with_structured_output(Trip).invoke(content).model_dump()


def langchain_embeddings(url, model, texts):
    made = OpenAIEmbeddings(model=model, base_url=f"{url}/v1", api_key="none", check_embedding_ctx_length=False)
    return [len(vector) for vector in made.embed_documents(texts)]


def llm_answers(url, model, content):
    """llm is a command; its models stand in a file of its folder."""
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/extra-openai-models.yaml", "w", encoding="utf8") as file:
            file.write(f"- model_id: here\n  model_name: {model}\n  api_base: {url}/v1\n")

        def run(*more):
            command = [sys.executable, "-m", "llm", "-m", "here", "--key", "none", *more, content]
            env = {**os.environ, "LLM_USER_PATH": folder}
            done = subprocess.run(
                command, env=env, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
            return done.stdout.strip()

        return [run(), run("--no-stream")]
