//! The few JavaScript globals that exist in browsers, workers and Node alike.

use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use rullama::ErrorCode;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = fetch)]
    fn global_fetch(url: &str, init: &Object) -> Promise;
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(text: &str);
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &js_sys::Function, milliseconds: f64, argument: &JsValue) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timeout: &JsValue);
}

/// Awaits a promise whose value is known to be a `T`.
pub async fn wait<T: JsCast>(promise: Promise) -> Result<T, JsValue> {
    JsFuture::from(promise).await.map(JsCast::unchecked_into)
}

/// As [`wait`], or what `late` says after so many milliseconds.
pub async fn wait_within<T: JsCast>(promise: Promise, milliseconds: f64, late: &str) -> Result<T, JsValue> {
    let mut timeout = JsValue::UNDEFINED;
    let timer = Promise::new(&mut |_, reject| timeout = set_timeout(&reject, milliseconds, &late.into()));
    let outcome = wait(Promise::race(&Array::of2(&promise, &timer))).await;
    clear_timeout(&timeout);
    outcome
}

/// `fetch(url)` with these headers, past the HTTP cache, which would hold model files a second time. `milliseconds` is the
/// longest wait for the head of the answer.
pub async fn fetch(url: &str, headers: &[(&str, String)], milliseconds: f64) -> Result<web_sys::Response, JsValue> {
    let list: Array = headers.iter().map(|(k, v)| Array::of2(&(*k).into(), &v.into())).collect();
    let abort = web_sys::AbortController::new()?;
    let init = object(&[("headers", list.into()), ("cache", "no-store".into()), ("signal", abort.signal().into())]);
    let outcome = wait_within(global_fetch(url, &init), milliseconds, "no answer in time").await;
    if outcome.is_err() {
        abort.abort();
    }
    outcome
}

/// Whether anything answers at `url`, readable for this page or not.
pub async fn answers(url: &str) -> bool {
    let init = object(&[("method", "HEAD".into()), ("mode", "no-cors".into()), ("cache", "no-store".into())]);
    wait::<JsValue>(global_fetch(url, &init)).await.is_ok()
}

/// Writes to the console: the only place for what a panic says.
pub fn report(text: &str) {
    console_error(text);
}

/// Waits for so many milliseconds.
pub async fn sleep(milliseconds: f64) {
    let promise = Promise::new(&mut |resolve, _| {
        set_timeout(&resolve, milliseconds, &JsValue::UNDEFINED);
    });
    // The promise has no way to reject.
    let _ = JsFuture::from(promise).await;
}

/// A plain object with these properties.
pub fn object(properties: &[(&str, JsValue)]) -> Object {
    let object = Object::new();
    for (key, value) in properties {
        // Setting a property of a plain object cannot fail.
        let _ = Reflect::set(&object, &(*key).into(), value);
    }
    object
}

/// A property, `undefined` where it or the object is missing.
pub fn get(target: &JsValue, key: &str) -> JsValue {
    Reflect::get(target, &key.into()).unwrap_or(JsValue::UNDEFINED)
}

/// A property that is a string.
pub fn get_string(target: &JsValue, key: &str) -> Option<String> {
    get(target, key).as_string()
}

/// A thrown value in words: name and message of an error, or the value itself.
pub fn describe(thrown: &JsValue) -> String {
    match (get_string(thrown, "name"), get_string(thrown, "message")) {
        (Some(name), Some(message)) if !message.is_empty() => format!("{name}: {message}"),
        (Some(name), _) => name,
        _ => thrown.as_string().unwrap_or_else(|| format!("{thrown:?}")),
    }
}

/// Code and words, which end in the remedy, of an error of the package.
pub fn package_error(thrown: &JsValue) -> Option<(ErrorCode, String)> {
    let (code, message) = (get_string(thrown, "code")?, get_string(thrown, "message")?);
    let code = ErrorCode::ALL.iter().copied().find(|known| known.name() == code)?;
    Some((code, format!("{message} {}", get_string(thrown, "remedy").unwrap_or_default())))
}

/// Whether a thrown value is a `DOMException` or error of this name.
pub fn is_named(thrown: &JsValue, name: &str) -> bool {
    get_string(thrown, "name").as_deref() == Some(name)
}

/// The bytes of an `ArrayBuffer`.
pub fn bytes_of(buffer: &JsValue) -> Uint8Array {
    Uint8Array::new(buffer)
}
