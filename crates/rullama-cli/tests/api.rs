//! `rullama serve` as Ollama and as OpenAI: the program with its embedded model, asked over HTTP.

use crate::common::http::{Server, asked, endless, question, serve};
use serde_json::{Value, json};
use std::thread::sleep;
use std::time::{Duration, Instant};

fn time_tool() -> Value {
    let city = json!({"type": "object", "properties": {"city": {"type": "string", "description": "The city"}}, "required": ["city"]});
    json!([{"type": "function", "function": {"name": "current_time", "description": "Get the current time in a city", "parameters": city}}])
}

fn joined(records: &[Value], at: impl Fn(&Value) -> &Value) -> String {
    records.iter().filter_map(|record| at(record).as_str()).collect()
}

fn chats_whole_and_streamed() {
    let server = serve(&[]);
    let mut request = question("What is 31 plus 9?");
    let whole = server.ok("/api/chat", &request).json();
    assert_eq!(whole["message"], json!({"role": "assistant", "content": "31 + 9 = 40"}));
    assert_eq!((&whole["done"], &whole["done_reason"], &whole["model"]), (&json!(true), &json!("stop"), &json!("embedded")));
    for count in ["total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration"] {
        assert!(whole[count].as_u64().is_some_and(|n| n > 0), "{count}: {whole}");
    }
    request["stream"] = json!(true);
    let streamed = server.ok("/api/chat", &request);
    assert!(streamed.head.contains("application/x-ndjson"), "{}", streamed.head);
    let lines = streamed.lines();
    assert!(lines.len() > 4, "{lines:?}");
    assert_eq!(joined(&lines, |line| &line["message"]["content"]), "31 + 9 = 40");
    assert!(lines.iter().rev().skip(1).all(|line| line["done"] == false) && lines.last().unwrap()["eval_count"] == whole["eval_count"]);

    let mut request = asked("What is 31 plus 9?");
    let whole = server.ok("/v1/chat/completions", &request).json();
    assert_eq!((&whole["object"], &whole["choices"][0]["finish_reason"]), (&json!("chat.completion"), &json!("stop")));
    assert_eq!(whole["choices"][0]["message"]["content"], "31 + 9 = 40");
    assert_eq!(
        whole["usage"]["total_tokens"],
        whole["usage"]["prompt_tokens"].as_u64().unwrap() + whole["usage"]["completion_tokens"].as_u64().unwrap()
    );
    request["stream"] = json!(true);
    request["stream_options"] = json!({"include_usage": true});
    let streamed = server.ok("/v1/chat/completions", &request);
    assert!(streamed.head.contains("text/event-stream") && streamed.body.ends_with("data: [DONE]\n\n"), "{streamed:?}");
    let events = streamed.events();
    assert_eq!(joined(&events, |event| &event["choices"][0]["delta"]["content"]), "31 + 9 = 40");
    assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], whole["usage"]["completion_tokens"]);
    assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "stop");

    let request = json!({"model": "embedded:latest", "temperature": 0, "input": "What is 31 plus 9?", "stream": true});
    let events = server.ok("/v1/responses", &request).events();
    assert_eq!(
        joined(&events, |event| if event["type"] == "response.output_text.delta" { &event["delta"] } else { &Value::Null }),
        "31 + 9 = 40"
    );
    let last = events.last().unwrap();
    assert_eq!((&last["type"], &last["response"]["status"]), (&json!("response.completed"), &json!("completed")));
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "31 + 9 = 40");
    assert!(events.iter().enumerate().all(|(i, event)| event["sequence_number"] == i));
}

fn completions_and_generate() {
    let server = serve(&[]);
    let request = json!({"model": "embedded", "stream": false, "prompt": "What is 31 plus 9?", "options": {"temperature": 0}});
    let answer = server.ok("/api/generate", &request).json();
    assert_eq!((&answer["response"], &answer["done_reason"]), (&json!("31 + 9 = 40"), &json!("stop")));
    // What was said before is gone on with.
    let mut request = json!({"model": "embedded", "stream": false, "prompt": "My name is Olga.", "options": {"temperature": 0}});
    let context = server.ok("/api/generate", &request).json()["context"].clone();
    request["prompt"] = json!("What is my name?");
    request["context"] = context;
    let answer = server.ok("/api/generate", &request).json();
    assert!(answer["response"].as_str().unwrap().contains("Olga"), "{answer}");
    // A prompt that its author has rendered, in both APIs.
    let raw = "<|turn>user\nWhat is 31 plus 9?<turn|>\n<|turn>model\n";
    let request = json!({"model": "embedded", "stream": false, "raw": true, "prompt": raw, "options": {"temperature": 0}});
    let answer = server.ok("/api/generate", &request).json();
    assert_eq!((&answer["response"], &answer["context"]), (&json!("31 + 9 = 40"), &Value::Null));
    let mut request = json!({"model": "embedded", "prompt": raw, "temperature": 0, "logprobs": 2});
    let answer = server.ok("/v1/completions", &request).json();
    assert_eq!((&answer["choices"][0]["text"], &answer["object"]), (&json!("31 + 9 = 40"), &json!("text_completion")));
    let logprobs = &answer["choices"][0]["logprobs"];
    assert_eq!(joined(logprobs["tokens"].as_array().unwrap(), |token| token), "31 + 9 = 40");
    assert_eq!((logprobs["text_offset"][2].as_u64(), logprobs["top_logprobs"][0].as_object().unwrap().len()), (Some(2), 2));
    request["stream"] = json!(true);
    assert_eq!(joined(&server.ok("/v1/completions", &request).events(), |event| &event["choices"][0]["text"]), "31 + 9 = 40");
}

fn tools_are_called_and_answered() {
    let server = serve(&[]);
    let mut request = question("What is the time in Paro now?");
    request["tools"] = time_tool();
    let message = server.ok("/api/chat", &request).json()["message"].clone();
    let call = &message["tool_calls"][0]["function"];
    assert_eq!((&call["name"], &call["arguments"], &message["content"]), (&json!("current_time"), &json!({"city": "Paro"}), &json!("")));
    let result = json!({"role": "tool", "tool_name": "current_time", "content": "{\"time\": \"16:25\"}"});
    request["messages"].as_array_mut().unwrap().extend([message, result]);
    assert_eq!(server.ok("/api/chat", &request).json()["message"]["content"], "It is 16:25 in Paro.");

    let mut request = asked("What is the time in Paro now?");
    request["tools"] = time_tool();
    let whole = server.ok("/v1/chat/completions", &request).json()["choices"][0].clone();
    let (message, call) = (&whole["message"], &whole["message"]["tool_calls"][0]);
    assert_eq!((&whole["finish_reason"], &message["content"]), (&json!("tool_calls"), &Value::Null));
    assert_eq!((&call["type"], &call["function"]["arguments"]), (&json!("function"), &json!("{\"city\":\"Paro\"}")));
    let mut streamed = request.clone();
    streamed["stream"] = json!(true);
    let events = server.ok("/v1/chat/completions", &streamed).events();
    let delta = events.iter().find_map(|event| event["choices"][0]["delta"]["tool_calls"].get(0)).unwrap();
    assert_eq!((&delta["index"], &delta["function"]["name"]), (&json!(0), &json!("current_time")));
    assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
    let result = json!({"role": "tool", "tool_call_id": call["id"], "content": "{\"time\": \"16:25\"}"});
    request["messages"].as_array_mut().unwrap().extend([message.clone(), result]);
    assert_eq!(server.ok("/v1/chat/completions", &request).json()["choices"][0]["message"]["content"], "It is 16:25 in Paro.");
    // An answer that is to have one call ends behind it.
    let mut single = asked("What is the time in Paro now?");
    (single["tools"], single["parallel_tool_calls"]) = (time_tool(), json!(false));
    let choice = server.ok("/v1/chat/completions", &single).json()["choices"][0].clone();
    assert_eq!((&choice["finish_reason"], choice["message"]["tool_calls"].as_array().unwrap().len()), (&json!("tool_calls"), 1));
    // Tools that are not to be seen.
    let mut request = asked("What is 31 plus 9?");
    (request["tools"], request["tool_choice"]) = (time_tool(), json!("none"));
    let with = server.ok("/v1/chat/completions", &request).json()["usage"]["prompt_tokens"].clone();
    assert_eq!(with, server.ok("/v1/chat/completions", &asked("What is 31 plus 9?")).json()["usage"]["prompt_tokens"]);

    let tools = json!([time_tool()[0]["function"].clone()]);
    let mut request =
        json!({"model": "embedded", "temperature": 0, "input": [{"role": "user", "content": "What is the time in Paro now?"}]});
    request["tools"] = tools;
    request["tools"][0]["type"] = json!("function");
    let call = server.ok("/v1/responses", &request).json()["output"][0].clone();
    assert_eq!((&call["type"], &call["arguments"]), (&json!("function_call"), &json!("{\"city\":\"Paro\"}")));
    let output = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "{\"time\": \"16:25\"}"});
    request["input"].as_array_mut().unwrap().extend([call, output]);
    assert_eq!(server.ok("/v1/responses", &request).json()["output"][0]["content"][0]["text"], "It is 16:25 in Paro.");
}

fn thoughts_are_apart() {
    let server = serve(&[]);
    let (thought, said) = ("I go through the letters: f, o, r, k. That makes 0.", "There is no n in fork.");
    let mut request = question("how many n in 'fork'");
    request["think"] = json!(true);
    let message = server.ok("/api/chat", &request).json()["message"].clone();
    assert_eq!((&message["thinking"], &message["content"]), (&json!(thought), &json!(said)));
    request["think"] = json!(false);
    assert_eq!(server.ok("/api/chat", &request).json()["message"]["thinking"], Value::Null);
    let mut request = asked("how many n in 'fork'");
    request["reasoning_effort"] = json!("low");
    let message = server.ok("/v1/chat/completions", &request).json()["choices"][0]["message"].clone();
    assert_eq!((&message["reasoning"], &message["content"]), (&json!(thought), &json!(said)));
    let mut request = json!({"model": "embedded", "temperature": 0, "input": "how many n in 'fork'", "reasoning": {"effort": "low"}});
    let whole = server.ok("/v1/responses", &request).json();
    request["stream"] = json!(true);
    let last = server.ok("/v1/responses", &request).events().last().unwrap()["response"].clone();
    for response in [&whole, &last] {
        assert_eq!((&response["output"][0]["type"], &response["output"][0]["content"][0]["text"]), (&json!("reasoning"), &json!(thought)));
        assert_eq!(response["output"][1]["content"][0]["text"], said);
        assert!(response["usage"]["output_tokens_details"]["reasoning_tokens"].as_u64().is_some_and(|n| n > 5), "{response}");
    }
}

fn answers_end_where_they_should() {
    let server = serve(&[]);
    let mut request = question("What is 31 plus 9?");
    request["options"]["num_predict"] = json!(3);
    let answer = server.ok("/api/chat", &request).json();
    assert_eq!((&answer["done_reason"], &answer["eval_count"]), (&json!("length"), &json!(3)));
    request["options"] = json!({"temperature": 0, "stop": [" ="]});
    let answer = server.ok("/api/chat", &request).json();
    assert_eq!((&answer["message"]["content"], &answer["done_reason"]), (&json!("31 + 9"), &json!("stop")));
    // A context that the request makes smaller bounds prompt and answer together.
    request["options"] = json!({"temperature": 0, "num_ctx": 20});
    assert_eq!(server.ok("/api/chat", &request).json()["done_reason"], "length");
    let mut request = asked("What is 31 plus 9?");
    request["max_completion_tokens"] = json!(3);
    assert_eq!(server.ok("/v1/chat/completions", &request).json()["choices"][0]["finish_reason"], "length");
    let request = json!({"model": "embedded", "input": "What is 31 plus 9?", "max_output_tokens": 3});
    let response = server.ok("/v1/responses", &request).json();
    assert_eq!((&response["status"], &response["incomplete_details"]["reason"]), (&json!("incomplete"), &json!("max_output_tokens")));
    // The likeliest tokens of each step.
    let mut request = question("What is 31 plus 9?");
    (request["logprobs"], request["top_logprobs"]) = (json!(true), json!(3));
    let answer = server.ok("/api/chat", &request).json();
    let tokens = answer["logprobs"].as_array().unwrap();
    assert_eq!(joined(tokens, |token| &token["token"]), "31 + 9 = 40");
    assert!(tokens.iter().all(|token| token["top_logprobs"].as_array().unwrap().len() == 3 && token["logprob"].as_f64().unwrap() <= 0.0));
    let mut request = asked("What is 31 plus 9?");
    (request["logprobs"], request["seed"]) = (json!(true), json!(3));
    let answer = server.ok("/v1/chat/completions", &request).json();
    assert_eq!(joined(answer["choices"][0]["logprobs"]["content"].as_array().unwrap(), |token| &token["token"]), "31 + 9 = 40");
}

/// What a text parses to, which has the members that [`person`] asks for.
fn fitting(text: &Value) -> Value {
    let value: Value = serde_json::from_str(text.as_str().unwrap()).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert!(value["age"].as_u64().is_some_and(|age| age < 150) && ["ja", "nein"].map(Value::from).contains(&value["größe"]), "{value}");
    assert_eq!(value.as_object().unwrap().len(), 2, "{value}");
    value
}

fn person() -> Value {
    let properties = json!({"größe": {"enum": ["ja", "nein"]}, "age": {"type": "integer", "minimum": 0, "maximum": 149}});
    json!({"type": "object", "properties": properties, "required": ["größe", "age"]})
}

fn answers_have_the_form_that_is_asked_for() {
    let server = serve(&[]);
    let mut request = question("What is 31 plus 9?");
    request["format"] = person();
    for seed in 0..3 {
        request["options"] = json!({"seed": seed, "temperature": 1});
        fitting(&server.ok("/api/chat", &request).json()["message"]["content"]);
    }
    (request["stream"], request["think"]) = (json!(true), json!(true));
    fitting(&joined(&server.ok("/api/chat", &request).lines(), |line| &line["message"]["content"]).into());
    let raw = json!({"model": "embedded", "stream": false, "prompt": "A person: ", "raw": true, "format": person()});
    fitting(&server.ok("/api/generate", &raw).json()["response"]);

    // With tools, a call may come in the answer's place.
    let mut request = asked("What is the time in Paro now?");
    request["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "person", "strict": true, "schema": person()}});
    fitting(&server.ok("/v1/chat/completions", &request).json()["choices"][0]["message"]["content"]);
    request["tools"] = time_tool();
    let message = server.ok("/v1/chat/completions", &request).json()["choices"][0]["message"].clone();
    assert_eq!(message["tool_calls"][0]["function"]["name"], "current_time", "{message}");

    let format = json!({"type": "json_schema", "name": "person", "schema": person()});
    let mut request = json!({"model": "embedded", "input": "What is 31 plus 9?", "text": {"format": format}, "top_logprobs": 2});
    let response = server.ok("/v1/responses", &request).json();
    assert_eq!(response["text"]["format"], format);
    let part = &response["output"][0]["content"][0];
    fitting(&part["text"]);
    let tokens = part["logprobs"].as_array().unwrap();
    // A letter may be of several tokens.
    let bytes: Vec<u8> =
        tokens.iter().flat_map(|token| token["bytes"].as_array().unwrap()).map(|byte| byte.as_u64().unwrap() as u8).collect();
    assert_eq!(String::from_utf8(bytes).unwrap(), part["text"].as_str().unwrap());
    assert!(tokens.iter().all(|token| token["top_logprobs"].as_array().unwrap().len() == 2));
    request["stream"] = json!(true);
    let events = server.ok("/v1/responses", &request).events();
    let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
    let told: usize = deltas.map(|event| event["logprobs"].as_array().unwrap().len()).sum();
    let done = events.iter().find(|event| event["type"] == "response.output_text.done").unwrap();
    assert!(told > 4 && done["logprobs"].as_array().unwrap().len() == told, "{told}: {done}");
    // What is cut says so.
    let request = json!({"model": "embedded", "messages": [{"role": "user", "content": "x"}], "max_tokens": 2,
        "response_format": {"type": "json_object"}});
    assert_eq!(server.ok("/v1/chat/completions", &request).json()["choices"][0]["finish_reason"], "length");
}

fn conversations_keep_their_caches() {
    let server = serve(&[]);
    let mut one = asked("My name is Olga.");
    let mut two = asked("Tell a short story about an otter.");
    let mut cached = Vec::new();
    for _ in 0..2 {
        for conversation in [&mut one, &mut two] {
            let answer = server.ok("/v1/chat/completions", conversation).json();
            cached.push(answer["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap());
            let more = [answer["choices"][0]["message"].clone(), json!({"role": "user", "content": "Thank you."})];
            conversation["messages"].as_array_mut().unwrap().extend(more);
        }
    }
    // Each goes on where it was, though the other came between.
    assert!(cached[2] > 15 && cached[3] > 40, "{cached:?}");
}

fn old_messages_are_left_out_or_the_prompt_is_refused() {
    let server = serve(&["--ctx", "64"]);
    let old: Vec<Value> =
        (0..8).map(|_| json!({"role": "user", "content": "Tell a short story about an otter in the garden, please."})).collect();
    let mut messages = vec![json!({"role": "system", "content": "Talk like a butler."})];
    messages.extend(old);
    messages.push(json!({"role": "user", "content": "What's 12+54?"}));
    let mut request = json!({"model": "embedded", "stream": false, "messages": messages, "options": {"temperature": 0}});
    let answer = server.ok("/api/chat", &request).json();
    assert!(answer["prompt_eval_count"].as_u64().is_some_and(|n| n < 64), "{answer}");
    assert!(answer["message"]["content"].as_str().unwrap().starts_with("Certainly"), "{answer}");
    request["truncate"] = json!(false);
    let refused = server.post("/api/chat", &request);
    assert!(refused.status == 400 && refused.body.contains("context of 64"), "{refused:?}");
    let refused = server.post("/v1/chat/completions", &request);
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("context_length_exceeded")));
}

/// Milliseconds until a short question is answered.
fn answered_within(server: &Server) -> u128 {
    let started = Instant::now();
    assert_eq!(server.ok("/api/chat", &question("What is 31 plus 9?")).json()["message"]["content"], "31 + 9 = 40");
    started.elapsed().as_millis()
}

fn who_leaves_stops_the_work() {
    let server = serve(&["--max-queue", "2"]);
    let usual = answered_within(&server) + 1000;
    let mut stream = server.send("POST /v1/chat/completions", &[], &endless().to_string());
    assert_eq!(stream.status, 200);
    (0..3).for_each(|_| assert!(stream.chunk().starts_with("data: ")));
    // Two more wait, and leave before their turn.
    let mut whole = endless();
    whole["stream"] = json!(false);
    let waiting = [0, 1].map(|_| server.write("POST /v1/chat/completions", &[], &whole.to_string()));
    let full = (0..50).find_map(|_| {
        sleep(Duration::from_millis(100));
        let refused = server.post("/api/chat", &question("What is 31 plus 9?"));
        (refused.status == 503).then_some(refused)
    });
    // No one waits longer than the queue is long.
    let full = full.expect("the queue takes more than it should");
    assert!(full.head.contains("retry-after: ") && full.json()["error"].as_str().unwrap().contains("2 requests wait"), "{full:?}");
    let openai = server.post("/v1/chat/completions", &asked("x"));
    assert_eq!((openai.status, &openai.json()["error"]["code"]), (503, &json!("server_overloaded")));
    drop(waiting);
    drop(stream);
    sleep(Duration::from_millis(500));
    let after = answered_within(&server);
    assert!(after < 3 * usual + 5000, "{after} ms after a stopped answer, {usual} ms before");
    // An answer that is not streamed is stopped as well.
    let running = server.write("POST /v1/chat/completions", &[], &whole.to_string());
    sleep(Duration::from_millis(1000));
    drop(running);
    sleep(Duration::from_millis(500));
    let after = answered_within(&server);
    assert!(after < 3 * usual + 5000, "{after} ms after a stopped answer, {usual} ms before");
}

#[cfg(unix)]
fn ctrl_c_ends_it_in_mid_answer() {
    for signal in ["-INT", "-TERM"] {
        let mut server = serve(&[]);
        let mut stream = server.send("POST /v1/chat/completions", &[], &endless().to_string());
        (0..3).for_each(|_| assert!(stream.chunk().starts_with("data: ")));
        assert!(std::process::Command::new("kill").args([signal, &server.child.id().to_string()]).status().unwrap().success());
        let ended = (0..200).find_map(|_| {
            sleep(Duration::from_millis(50));
            server.child.try_wait().unwrap()
        });
        assert!(ended.is_some_and(|status| status.success()), "{signal}: {ended:?}");
    }
}

rullama_testing::tests! {
    chats_whole_and_streamed,
    completions_and_generate,
    tools_are_called_and_answered,
    thoughts_are_apart,
    answers_end_where_they_should,
    answers_have_the_form_that_is_asked_for,
    conversations_keep_their_caches,
    old_messages_are_left_out_or_the_prompt_is_refused,
    who_leaves_stops_the_work,
    #[cfg(unix)]
    ctrl_c_ends_it_in_mid_answer,
}
