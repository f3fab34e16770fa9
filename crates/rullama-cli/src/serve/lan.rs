//! For phones: this machine's address in its network, and a code to scan.

use qrcode::{Color, QrCode};
use std::net::{IpAddr, UdpSocket};

/// Modules of light around a code, which readers look for.
const MARGIN: usize = 4;

/// This machine's address in its network; nothing without one.
pub fn address() -> Option<IpAddr> {
    // Nothing is sent: the system says from which address it would be. The other end is one of those kept for examples.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified() && !address.is_loopback()).then_some(address)
}

/// A text as lines of half blocks: two rows of modules each, the dark ones filled. Nothing where it is too long for a code.
pub fn code(text: &str) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(text, qrcode::EcLevel::L).ok()?;
    let width = code.width();
    let dark = |x: usize, y: usize| {
        let inside = (MARGIN..MARGIN + width).contains(&x) && (MARGIN..MARGIN + width).contains(&y);
        inside && code[(x - MARGIN, y - MARGIN)] == Color::Dark
    };
    let side = width + 2 * MARGIN;
    let line = |y: usize| {
        let half = |x| match (dark(x, y), dark(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        };
        (0..side).map(half).collect()
    };
    Some((0..side).step_by(2).map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_blocks_hold_the_code() {
        let text = "https://192.168.100.200:65535/?token=0123456789abcdef0123456789abcdef";
        let lines = code(text).unwrap();
        let expected = QrCode::with_error_correction_level(text, qrcode::EcLevel::L).unwrap();
        let side = expected.width() + 2 * MARGIN;
        assert!(side <= 80 && lines.len() == side.div_ceil(2), "{side}");
        let rows: Vec<Vec<char>> = lines.iter().map(|line| line.chars().collect()).collect();
        let dark = |x: usize, y: usize| matches!((rows[y / 2][x], y % 2), ('█', _) | ('▀', 0) | ('▄', 1));
        for y in 0..side {
            assert_eq!(rows[y / 2].len(), side);
            for x in 0..side {
                let margin = [x, y].iter().any(|at| *at < MARGIN || *at >= side - MARGIN);
                let module = !margin && expected[(x - MARGIN, y - MARGIN)] == Color::Dark;
                assert_eq!(dark(x, y), module, "{x} {y}");
            }
        }
        assert!(code(&"x".repeat(5000)).is_none());
    }
}
