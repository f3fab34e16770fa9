//! `rullama serve`'s APIs: who may ask, and what becomes of requests that cannot be read. No model is loaded here.

use crate::common::http::{Answer, Server, start};
use crate::common::{fails, rullama};
use serde_json::{Value, json};

fn serve(more: &[&str], origins: &str) -> Server {
    start(rullama(&[&["serve", "--port", "0"], more].concat()).env("OLLAMA_ORIGINS", origins))
}

fn get(server: &Server, path: &str, headers: &[&str]) -> Answer {
    server.send(&format!("GET {path}"), headers, "").rest()
}

fn names_of_this_machine() {
    let server = serve(&["--host-name", "host.docker.internal"], "");
    for (host, status) in
        [("localhost", 200), ("127.0.0.1:1", 200), ("host.docker.internal:11434", 200), ("evil.example", 421), ("192.168.0.1", 421)]
    {
        let answer = get(&server, "/api/version", &[&format!("Host: {host}")]);
        assert_eq!(answer.status, status, "{host}");
        assert!(status == 200 || answer.json()["error"].as_str().unwrap().contains("--host-name"), "{answer:?}");
    }
    // The address that is listened on is its name, too.
    assert_eq!(get(&server, "/api/version", &["Host: 127.0.0.2"]).status, 421);
    let answer = get(&server, "/v1/models", &["Host: evil.example"]);
    assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
}

fn origins_that_may_ask() {
    let server = serve(&[], "https://*.example.org, chrome-extension://*");
    let own = format!("http://localhost:{}", server.port);
    let allowed =
        [&own[..], "http://localhost:3000", "http://127.0.0.1:5173", "app://obsidian.md", "https://a.example.org", "chrome-extension://id"];
    for origin in allowed {
        let answer = get(&server, "/api/version", &[&format!("Origin: {origin}"), "Sec-Fetch-Site: cross-site"]);
        assert_eq!(answer.status, 200, "{origin}");
        assert!(
            answer.head.contains(&format!("access-control-allow-origin: {origin}")) && answer.head.contains("vary: origin"),
            "{answer:?}"
        );
        let asked = [
            &format!("Origin: {origin}")[..],
            "Access-Control-Request-Method: POST",
            "Access-Control-Request-Headers: authorization,x-stainless-os",
        ];
        let preflight = server.send("OPTIONS /v1/chat/completions", &asked, "").rest();
        assert_eq!(preflight.status, 204, "{origin}");
        for header in [&format!("access-control-allow-origin: {origin}")[..], "access-control-allow-headers: authorization,x-stainless-os"]
        {
            assert!(preflight.head.contains(header), "{preflight:?}");
        }
    }
    for origin in ["https://evil.example", "null", "http://localhost.evil.example", "https://example.org", ""] {
        for line in ["GET /api/tags", "POST /api/generate", "OPTIONS /v1/chat/completions"] {
            let answer = server.send(line, &[&format!("Origin: {origin}")], "").rest();
            assert_eq!(answer.status, 403, "{origin} {line}");
            assert!(!answer.head.contains("access-control-allow-origin") && answer.body.contains("OLLAMA_ORIGINS"), "{answer:?}");
        }
    }
    // A picture's address, which is asked for without an origin.
    assert_eq!(get(&server, "/api/tags", &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"]).status, 403);
    // The page's own files are for the page of this server alone.
    let models = get(&server, "/models.json", &["Origin: http://localhost:3000", "Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors"]);
    assert!(models.status == 403 && !models.head.contains("access-control"), "{models:?}");
    let all = serve(&[], "*");
    assert_eq!(get(&all, "/api/version", &["Origin: https://evil.example"]).status, 200);
}

fn tokens() {
    let server = serve(&["--token", "secret"], "");
    for (header, status) in [
        ("Authorization: Bearer secret", 200),
        ("Authorization: bearer secret", 200),
        ("Authorization: Bearer secreT", 401),
        ("Authorization: Bearer ", 401),
        ("Authorization: Basic secret", 401),
        ("X-Nothing: 1", 401),
    ] {
        for path in ["/api/version", "/v1/models", "/models.json"] {
            let answer = get(&server, path, &[header]);
            assert_eq!(answer.status, status, "{path} {header}");
            assert!(status == 200 || answer.head.contains("www-authenticate: bearer"), "{answer:?}");
        }
    }
    assert_eq!(get(&server, "/v1/models", &[]).json()["error"]["code"], "invalid_api_key");
    // A browser asks first without it; and the page, or that Ollama runs, is no secret.
    assert_eq!(server.send("OPTIONS /v1/models", &["Origin: http://localhost:3000"], "").rest().status, 204);
    assert_eq!(get(&server, "/", &[]).body, "Ollama is running");
    assert!(fails(2, &mut rullama(&["serve", "--token", "a b"])).contains("--token"));
}

fn other_addresses_need_a_token() {
    let server = serve(&["--address", "0.0.0.0"], "");
    let token = server.token.clone().unwrap();
    assert!(token.len() >= 32, "{token}");
    let host = format!("Host: 192.168.7.7:{}", server.port);
    assert_eq!(get(&server, "/api/version", &[&host]).status, 401);
    assert_eq!(get(&server, "/api/version", &[&host, &format!("Authorization: Bearer {token}")]).status, 200);
    // A name may have been rebound to this address.
    assert_eq!(get(&server, "/api/version", &["Host: evil.example", &format!("Authorization: Bearer {token}")]).status, 421);
    assert_ne!(serve(&["--address", "0.0.0.0"], "").token, Some(token));
    assert!(fails(1, &mut rullama(&["serve", "--port", "0", "--address", "192.0.2.1"])).contains("--address"));
}

fn ollama_refuses_by_name() {
    let server = serve(&[], "");
    let mut ollama = vec![];
    for (field, value) in [
        ("model", json!(3)),
        ("messages", json!("x")),
        ("messages[0].content", json!([{"role": "user", "content": 3}])),
        ("messages[0].images", json!([{"role": "user", "content": "x", "images": ["aGk="]}])),
        ("stream", json!("yes")),
        ("format", json!("xml")),
        ("format", json!({"type": "object", "not": {}})),
        ("think", json!("much")),
        ("keep_alive", json!("soon")),
        ("options", json!([])),
        ("options.temperature", json!({"temperature": "hot"})),
        ("options.top_p", json!({"top_p": 7})),
        ("options.num_ctx", json!({"num_ctx": "x"})),
        ("options.stop", json!({"stop": vec!["x"; 65]})),
        ("options.stop", json!({"stop": "x".repeat(1025)})),
        ("tools", json!({})),
        ("tools[0]", json!([{"type": "function"}])),
        ("top_logprobs", json!(3)),
    ] {
        let mut request = json!({"model": "embedded", "messages": [{"role": "user", "content": "x"}]});
        request[field.split(['.', '[']).next().unwrap()] = value;
        ollama.push(("/api/chat", field, request));
    }
    for (field, value) in
        [("suffix", json!("x")), ("template", json!("x")), ("images", json!(["aGk="])), ("context", json!([-1])), ("raw", json!(1))]
    {
        let mut request = json!({"model": "embedded", "prompt": "x"});
        request[field] = value;
        ollama.push(("/api/generate", field.trim_end_matches("[0]"), request));
    }
    for (path, field, request) in ollama {
        let answer = server.post(path, &request);
        let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == 400 && error.contains(&format!("`{field}")), "{request}: {answer:?}");
    }
}

fn openai_refuses_by_name() {
    let server = serve(&[], "");
    for (path, field, value) in [
        ("/v1/chat/completions", "n", json!(2)),
        ("/v1/chat/completions", "messages", json!([])),
        (
            "/v1/chat/completions",
            "messages[0].content",
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
        ),
        ("/v1/chat/completions", "response_format", json!({"type": "json_schema", "json_schema": {}})),
        ("/v1/chat/completions", "tool_choice", json!("required")),
        ("/v1/chat/completions", "functions", json!([{"name": "f"}])),
        ("/v1/chat/completions", "modalities", json!(["audio"])),
        ("/v1/chat/completions", "max_tokens", json!("x")),
        ("/v1/chat/completions", "top_logprobs", json!(21)),
        ("/v1/chat/completions", "logit_bias", json!({"x": 1})),
        ("/v1/completions", "echo", json!(true)),
        ("/v1/completions", "prompt", json!(["a", "b"])),
        ("/v1/responses", "input", json!([])),
        ("/v1/responses", "previous_response_id", json!("resp_1")),
        ("/v1/responses", "tools[0].type", json!([{"type": "web_search"}])),
    ] {
        let mut request = json!({"model": "embedded", "messages": [{"role": "user", "content": "x"}], "prompt": "x", "input": "x"});
        if path == "/v1/responses" {
            request = json!({"model": "embedded", "input": "x"});
        }
        request[field.split(['.', '[']).next().unwrap()] = value;
        let answer = server.post(path, &request);
        let error = answer.json()["error"].clone();
        assert_eq!(
            (answer.status, &error["param"], &error["type"]),
            (400, &json!(field), &json!("invalid_request_error")),
            "{request}: {answer:?}"
        );
        assert!(error["message"].as_str().unwrap().contains(field), "{error}");
    }
}

fn what_is_not_there_says_what_to_do() {
    let server = serve(&[], "");
    for (line, status, part) in [
        ("POST /api/pull", 501, "ollama pull"),
        ("POST /api/push", 501, "ollama push"),
        ("POST /api/create", 501, "ollama create"),
        ("POST /api/copy", 501, "ollama cp"),
        ("DELETE /api/delete", 501, "ollama rm"),
        ("POST /api/blobs/sha256:00", 501, "ollama create"),
        ("POST /api/embed", 400, "model"),
        ("POST /api/embeddings", 400, "model"),
        ("POST /v1/embeddings", 400, "model"),
        ("GET /api/other", 404, "/api/other"),
        ("POST /v1/audio/speech", 404, "/v1/audio/speech"),
        ("GET /api/chat", 405, "Allow"),
        ("GET /v1/models/none", 404, "ollama pull none"),
    ] {
        let answer = server.send(line, &[], "{}").rest();
        let error = answer.json()["error"].clone();
        let message = error.as_str().or(error["message"].as_str()).unwrap();
        assert!(answer.status == status && message.contains(part), "{line}: {answer:?}");
    }
    for (path, name, status) in [
        ("/api/chat", "gemma4:e2b", 404),
        ("/api/generate", "../secret", 400),
        ("/v1/completions", "/etc/passwd", 400),
        ("/api/show", "", 400),
        ("/api/chat", &"m".repeat(5000), 400),
    ] {
        let request = json!({"model": name, "messages": [{"role": "user", "content": "x"}], "prompt": "x"});
        let answer = server.post(path, &request);
        assert_eq!(answer.status, status, "{path} {name}: {answer:?}");
        assert!(answer.body.len() < 1200 && (status != 404 || answer.body.contains("ollama pull gemma4:e2b")), "{answer:?}");
    }
}

fn hostile_bodies() {
    let server = serve(&[], "");
    let deep = format!("{{\"model\": {}", "[".repeat(100_000));
    for body in ["", "{", "[]", "null", "\"x\"", "{\"model\": \"embedded\"} {}", "\u{0}", &deep] {
        for path in ["/api/chat", "/api/generate", "/api/show", "/v1/chat/completions", "/v1/completions", "/v1/responses"] {
            let answer = server.send(&format!("POST {path}"), &[], body).rest();
            let error = answer.json()["error"].clone();
            assert!(answer.status == 400 && (error.is_string() || error["message"].is_string()), "{path} {body:.20}: {answer:?}");
        }
    }
    // Told to be too large, it is refused before it comes.
    let told = server.send("POST /api/chat", &[&format!("Content-Length: {}", 33 << 20)], "");
    assert_eq!(told.status, 413);
    assert_eq!(server.get("/api/version").json()["rullama"], Value::from(env!("CARGO_PKG_VERSION")));
}

rullama_testing::tests! {
    names_of_this_machine,
    origins_that_may_ask,
    tokens,
    other_addresses_need_a_token,
    ollama_refuses_by_name,
    openai_refuses_by_name,
    what_is_not_there_says_what_to_do,
    hostile_bodies,
}
