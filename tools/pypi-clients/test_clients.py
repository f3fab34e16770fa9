"""Clients from PyPI, unmodified, against `rullama serve` with its embedded model: `ollama`, `openai` and the program `llm`; and the
requests that open-webui sends, as its source (backend/open_webui/routers/ollama.py) makes them.

Needs the program, built with a model in it: its path in RULLAMA_BIN, or target/debug/rullama.
"""

import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import httpx
import ollama
import openai

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("RULLAMA_BIN", str(ROOT / "target/debug/rullama"))
TOKEN = "secret"
MODEL = "embedded"
QUESTION, ANSWER = "What is 31 plus 9?", "31 + 9 = 40"
TIME, RESULT, TOLD = "What is the time in Paro now?", '{"time": "16:25"}', "It is 16:25 in Paro."
CITY = {"type": "object", "properties": {"city": {"type": "string", "description": "The city"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "current_time", "description": "Get the current time in a city", "parameters": CITY}}
USER = [{"role": "user", "content": QUESTION}]


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.path.isfile(PROGRAM):
            raise unittest.SkipTest(f"{PROGRAM} is not there: run `cargo build -p rullama-cli`")
        command = [PROGRAM, "serve", "--port", "0", "--token", TOKEN]
        environment = {**os.environ, "OLLAMA_MODELS": "/nonexistent"}
        cls.server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True)
        cls.addClassCleanup(cls.stop)
        cls.url = re.search(r"http://[^/\s]+", cls.server.stdout.readline()).group(0)
        cls.headers = {"Authorization": f"Bearer {TOKEN}"}
        first = httpx.post(f"{cls.url}/api/generate", json={"model": MODEL}, headers=cls.headers, timeout=300)
        error = first.json().get("error", "")
        if "no usable GPU adapter" in error or "no embedded model" in error:
            raise unittest.SkipTest(error)
        assert first.status_code == 200, error
        cls.ollama = ollama.Client(host=cls.url, headers=cls.headers)
        cls.openai = openai.OpenAI(base_url=f"{cls.url}/v1", api_key=TOKEN, max_retries=0)

    @classmethod
    def stop(cls):
        cls.server.kill()
        cls.server.wait()
        cls.server.stdout.close()

    def test_ollama(self):
        ask = {"model": MODEL, "messages": USER, "options": {"temperature": 0}}
        self.assertEqual(self.ollama.chat(**ask).message.content, ANSWER)
        self.assertEqual("".join(part.message.content for part in self.ollama.chat(**ask, stream=True)), ANSWER)
        self.assertEqual([model.model for model in self.ollama.list().models], [f"{MODEL}:latest"])
        self.assertEqual(self.ollama.show(MODEL).modelinfo["general.architecture"], "gemma4")
        messages = [{"role": "user", "content": TIME}]
        message = self.ollama.chat(model=MODEL, messages=messages, tools=[TOOL], options={"temperature": 0}).message
        self.assertEqual([dict(call.function.arguments) for call in message.tool_calls], [{"city": "Paro"}])
        messages += [message, {"role": "tool", "tool_name": "current_time", "content": RESULT}]
        answer = self.ollama.chat(model=MODEL, messages=messages, tools=[TOOL], options={"temperature": 0})
        self.assertEqual(answer.message.content, TOLD)
        with self.assertRaises(ollama.ResponseError) as raised:
            self.ollama.chat(model="none", messages=USER)
        self.assertEqual(raised.exception.status_code, 404)

    def test_openai(self):
        create = self.openai.chat.completions.create
        ask = {"model": MODEL, "messages": USER, "temperature": 0}
        whole = create(**ask)
        self.assertEqual((whole.choices[0].message.content, whole.choices[0].finish_reason), (ANSWER, "stop"))
        chunks = list(create(**ask, stream=True, stream_options={"include_usage": True}))
        self.assertEqual("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices), ANSWER)
        self.assertEqual(chunks[-1].usage.total_tokens, whole.usage.total_tokens)
        self.assertEqual([model.id for model in self.openai.models.list()], [MODEL])
        messages = [{"role": "user", "content": TIME}]
        message = create(model=MODEL, messages=messages, tools=[TOOL], temperature=0).choices[0].message
        call = message.tool_calls[0]
        self.assertEqual((call.function.name, json.loads(call.function.arguments)), ("current_time", {"city": "Paro"}))
        messages += [message, {"role": "tool", "tool_call_id": call.id, "content": RESULT}]
        self.assertEqual(create(model=MODEL, messages=messages, tools=[TOOL], temperature=0).choices[0].message.content, TOLD)
        self.assertIn("40", self.openai.responses.create(model=MODEL, input=QUESTION, temperature=0).output_text)
        with self.assertRaises(openai.NotFoundError) as raised:
            create(model="none", messages=USER)
        self.assertEqual(raised.exception.code, "model_not_found")
        with self.assertRaises(openai.BadRequestError) as raised:
            create(**ask, n=2)
        self.assertEqual(raised.exception.param, "n")

    def test_llm(self):
        with tempfile.TemporaryDirectory() as folder:
            lines = [f"- model_id: {MODEL}", f"  model_name: {MODEL}", f"  api_base: {self.url}/v1", "  api_key_name: rullama"]
            pathlib.Path(folder, "extra-openai-models.yaml").write_text("\n".join(lines) + "\n")
            pathlib.Path(folder, "keys.json").write_text(json.dumps({"rullama": TOKEN}))
            command = [sys.executable, "-m", "llm", "-m", MODEL, "-o", "temperature", "0", QUESTION]
            for stream in ([], ["--no-stream"]):
                environment = {**os.environ, "LLM_USER_PATH": folder}
                done = subprocess.run([*command, *stream], env=environment, capture_output=True, text=True, timeout=300)
                self.assertEqual((done.returncode, done.stdout.strip()), (0, ANSWER), done.stderr)

    def test_open_webui(self):
        """Its Ollama connection: verified by the version, models by `/api/tags` with a content type and `/api/ps`, an id without a tag
        sent with `:latest`, chats as NDJSON; its OpenAI connection below `/v1`."""
        headers = {"Content-Type": "application/json", **self.headers}
        with httpx.Client(base_url=self.url, headers=headers, timeout=300) as client:
            version = client.get("/api/version")
            self.assertEqual(version.status_code, 200)
            self.assertGreaterEqual([int(part) for part in version.json()["version"].split(".")], [0, 1, 0])
            models = {model["model"]: model for model in client.get("/api/tags").json()["models"]}
            chosen = MODEL if ":" in MODEL else f"{MODEL}:latest"
            self.assertIn(chosen, models)
            self.assertEqual(models[chosen]["name"], MODEL)
            for loaded in client.get("/api/ps").json()["models"]:
                self.assertGreater(datetime.datetime.fromisoformat(loaded["expires_at"]).timestamp(), 0)
            chat = {"model": chosen, "messages": USER, "options": {"temperature": 0}, "stream": True}
            with client.stream("POST", "/api/chat", content=json.dumps(chat)) as answer:
                self.assertEqual(answer.status_code, 200)
                lines = [json.loads(line) for line in answer.iter_lines()]
            self.assertEqual("".join(line["message"]["content"] for line in lines), ANSWER)
            self.assertEqual([line["done"] for line in lines], [False] * (len(lines) - 1) + [True])
            # What it tells of an answer is computed from these.
            for member in ("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration"):
                self.assertIsInstance(lines[-1][member], int)
            title = {**chat, "stream": False, "options": {"temperature": 0, "num_predict": 4}}
            self.assertEqual(client.post("/api/chat", content=json.dumps(title)).json()["message"]["role"], "assistant")
            self.assertIn(MODEL, [model["id"] for model in client.get("/v1/models").json()["data"]])
            openai_chat = {"model": chosen, "messages": USER, "stream": True, "temperature": 0}
            with client.stream("POST", "/v1/chat/completions", content=json.dumps(openai_chat)) as answer:
                events = [line for line in answer.iter_lines() if line]
            self.assertEqual(events[-1], "data: [DONE]")
            deltas = [json.loads(event.removeprefix("data: "))["choices"][0]["delta"] for event in events[:-1]]
            self.assertEqual("".join(delta.get("content") or "" for delta in deltas), ANSWER)


def main():
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(Clients))
    failed, skipped = len(result.failures) + len(result.errors), len(result.skipped)
    if skipped and not result.testsRun:
        for _, reason in result.skipped:
            print(f"test PyPI clients ... ignored, {reason}")
    # The closing line that `cargo xtask test` reads.
    print(f"test result: {'FAILED' if failed else 'ok'}. {result.testsRun - failed} passed; {failed} failed; {skipped} ignored")
    sys.exit(bool(failed))


main()
