//! The way in for browsers, which send no header of their own with a link: an address that holds the token, and then a cookie.
//!
//! The cookie opens the page's lists and files alone, not the APIs, so that no other page can ask through it.

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

const COOKIE: &str = "rullama";
/// Seconds that a browser keeps it.
const KEPT: u32 = 30 * 24 * 3600;

/// What stands behind the server's address in the link that opens it to a browser.
pub fn query(token: &str) -> String {
    let encoded = token.bytes().map(|byte| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    format!("?token={}", encoded.collect::<String>())
}

/// The token that a link holds, as it is written there.
pub fn given(request: &Request) -> Option<&str> {
    let at_top = request.uri().path() == "/";
    request.uri().query().filter(|_| at_top)?.split('&').find_map(|pair| pair.strip_prefix("token="))
}

/// Whether `given` is the token, encoded or not.
pub fn opens(given: &str, token: &str, same: fn(&[u8], &[u8]) -> bool) -> bool {
    let encoded = query(token);
    let encoded = encoded.trim_start_matches("?token=");
    same(given.as_bytes(), encoded.as_bytes()) || same(given.as_bytes(), token.as_bytes())
}

/// The page without the token in its address, and a cookie in its place; over https one that never goes without.
pub fn admit(token: &str, https: bool) -> Response {
    let secure = if https { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={}; Path=/; Max-Age={KEPT}; HttpOnly; SameSite=Strict{secure}", value(token));
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, "/"), (header::CACHE_CONTROL, "no-store")]).into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Whether a request bears the cookie.
pub fn admitted(request: &Request, token: &str, same: fn(&[u8], &[u8]) -> bool) -> bool {
    let lines = request.headers().get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let cookies = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let wanted = value(token);
    cookies.filter(|(name, _)| *name == COOKIE).any(|(_, given)| same(given.as_bytes(), wanted.as_bytes()))
}

/// Not the token itself, which may hold signs that a cookie cannot.
fn value(token: &str) -> String {
    let hash = Sha256::new().chain_update(b"rullama cookie\n").chain_update(token).finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
