//! Whether a JPEG is whole: decoders fill what is missing with grey, and say nothing.

/// Walks the segments (ITU-T T.81, Annex B) to the end of the image; false where the file ends before.
///
/// Thumbnails inside of segments have ends of their own, so a search for the last marker alone would not tell.
pub fn is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // Any number of fill bytes may stand before a marker.
        let Some(found) = bytes.get(at..).and_then(|rest| rest.windows(2).position(|pair| pair[0] == 0xff && is_marker(pair[1]))) else {
            return false;
        };
        let marker = bytes[at + found + 1];
        at += found + 2;
        match marker {
            0xd9 => return true,
            // Markers without a length.
            0x01 | 0xd0..=0xd8 => {}
            _ => match bytes.get(at..at + 2) {
                Some(length) => at += usize::from(u16::from_be_bytes([length[0], length[1]])).max(2),
                None => return false,
            },
        }
    }
}

/// Neither a stuffed zero of the data nor a fill byte.
fn is_marker(byte: u8) -> bool {
    byte != 0 && byte != 0xff
}
