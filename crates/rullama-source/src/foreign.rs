//! Files that are evidently no GGUF, named for what they are by their first bytes.

use std::fmt;

/// How many bytes of a file [`foreign`] wants to see.
pub const HEAD: usize = 512;

/// What a file is, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    pub what: &'static str,
    pub remedy: &'static str,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.what, self.remedy)
    }
}

const CONVERT: &str = "Convert the model with llama.cpp's convert_hf_to_gguf.py, or get its .gguf file.";
const UNPACK: &str = "Unpack it, and give the .gguf file in it.";
const OTHER: &str = "Give a .gguf file or a name from Ollama's store.";

/// A page that a server sent in place of a file.
pub const WEB_PAGE: Foreign = Foreign {
    what: "a web page",
    remedy: "Take the address of the file itself: on Hugging Face the one with /resolve/ in place of /blob/.",
};
const LFS: Foreign =
    Foreign { what: "a Git LFS pointer, not the model", remedy: "Fetch the file behind it with `git lfs pull`, or download it." };
const ANNEX: Foreign =
    Foreign { what: "a git-annex pointer, not the model", remedy: "Fetch the file behind it with `git annex get`, or download it." };
const JSON: Foreign = Foreign {
    what: "JSON text: a configuration, an index of other files or a server's answer",
    remedy: "Give the .gguf file itself, and download it again if it has this name.",
};
const MANIFEST: Foreign =
    Foreign { what: "one of Ollama's manifests", remedy: "Give the model's name, such as gemma4:e2b, in place of this path." };
const SAFETENSORS: Foreign = Foreign { what: "a safetensors checkpoint", remedy: CONVERT };
const PICKLE: Foreign = Foreign { what: "a PyTorch checkpoint (pickle)", remedy: CONVERT };
const OLD_GGML: Foreign =
    Foreign { what: "a file from before GGUF (GGML, GGJT)", remedy: "Get the model as GGUF: these old ones are no Gemma 4 models." };
const TEXT: Foreign =
    Foreign { what: "a text file", remedy: "Download the model again: a server's message may have been stored in its place." };
const ZEROS: Foreign =
    Foreign { what: "zeros: a download that has its length but not yet its content", remedy: "Finish the download, or start it anew." };

/// First bytes and what they tell.
const MAGICS: &[(&[u8], &str, &str)] = &[
    (b"PK\x03\x04", "a ZIP archive", UNPACK),
    (b"PK\x05\x06", "an empty ZIP archive", OTHER),
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", UNPACK),
    (b"\xfd7zXZ\0", "an xz archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (a Keras checkpoint)", CONVERT),
    (b"\x93NUMPY", "a NumPy array", CONVERT),
    (b"LITERTLM", "a LiteRT-LM model", OTHER),
    (b"\x7fELF", "a program (a llamafile?)", OTHER),
    (b"MZ", "a program (a llamafile?)", OTHER),
    (b"%PDF-", "a PDF document", OTHER),
    (b"\x89PNG\r\n", "a picture (PNG)", OTHER),
    (b"\xff\xd8\xff", "a picture (JPEG)", OTHER),
    (b"SQLite format 3\0", "an SQLite database", OTHER),
];

/// Whether a `Content-Type` is that of a page for people.
pub fn is_page(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
}

/// What a file with these first bytes (up to [`HEAD`]) and this length is, where it is plain to see and no GGUF file.
pub fn foreign(head: &[u8], len: u64) -> Option<Foreign> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins = |word: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
    let contains = |part: &[u8]| head.windows(part.len()).any(|window| window == part);
    if head.starts_with(b"GGUF") {
        return None;
    }
    if begins("version https://git-lfs") || begins("version https://hawser") {
        return Some(LFS);
    }
    if begins("/annex/objects/") || (head.len() < HEAD && contains(b".git/annex/objects/")) {
        return Some(ANNEX);
    }
    if ["<!doctype", "<html", "<head", "<body", "<?xml", "<!--", "<svg", "<error"].iter().any(|tag| begins(tag)) {
        return Some(WEB_PAGE);
    }
    if is_safetensors(head, len) {
        return Some(SAFETENSORS);
    }
    if begins("{") || begins("[") {
        return Some(if contains(b"\"schemaVersion\"") { MANIFEST } else { JSON });
    }
    archive(head).or_else(|| magic(head)).or_else(|| plain(head))
}

/// Eight bytes of length, and a JSON object of that length.
fn is_safetensors(head: &[u8], len: u64) -> bool {
    let Some((size, rest)) = head.split_first_chunk::<8>() else { return false };
    let size = u64::from_le_bytes(*size);
    (2..=len.saturating_sub(8)).contains(&size) && rest.starts_with(b"{") && rest.get(1).is_some_and(|next| b"\" }\n\r\t".contains(next))
}

/// ZIP archives by the name of their first entry.
fn archive(head: &[u8]) -> Option<Foreign> {
    if !head.starts_with(b"PK\x03\x04") {
        return None;
    }
    let size = usize::from(u16::from_le_bytes([*head.get(26)?, *head.get(27)?]));
    let name = head.get(30..30 + size)?;
    if name.ends_with(b"data.pkl") || name.ends_with(b".format_version") || name.ends_with(b"byteorder") {
        return Some(PICKLE);
    }
    name.ends_with(b".npy").then_some(Foreign { what: "a NumPy archive (npz)", remedy: CONVERT })
}

fn magic(head: &[u8]) -> Option<Foreign> {
    if let Some((_, what, remedy)) = MAGICS.iter().find(|(magic, ..)| head.starts_with(magic)) {
        return Some(Foreign { what, remedy });
    }
    match head {
        // Pickle's PROTO, then an opcode that a checkpoint begins with: a dictionary, a number, a frame, a module, a tuple.
        [0x80, 2..=5, b'}' | 0x8a | 0x95 | b'c' | b'(' | b']' | b'K', ..] => Some(PICKLE),
        [b'l', b'm' | b'a', b'g', b'g', ..] | [b'f' | b't', b'm' | b'j', b'g', b'g', ..] | [b'a', b'l', b'g', b'g', ..] => Some(OLD_GGML),
        // Protocol buffer: the IR's version, then the producer's name.
        [0x08, 3..=20, 0x12, ..] => Some(Foreign { what: "an ONNX model", remedy: CONVERT }),
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => Some(Foreign { what: "a TensorFlow Lite model", remedy: CONVERT }),
        _ if head.get(257..262) == Some(b"ustar") => Some(Foreign { what: "a tar archive", remedy: UNPACK }),
        _ => None,
    }
}

/// Text and emptiness, when nothing else fits.
fn plain(head: &[u8]) -> Option<Foreign> {
    if head.len() >= 16 && head.iter().all(|byte| *byte == 0) {
        return Some(ZEROS);
    }
    let printable = |byte: &u8| byte.is_ascii_graphic() || b" \t\r\n".contains(byte);
    (head.len() >= 5 && head.iter().all(printable)).then_some(TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(head: &[u8]) -> &'static str {
        foreign(head, 1 << 20).map_or("", |foreign| foreign.what)
    }

    #[test]
    fn each_kind_by_its_name() {
        let zip = |entry: &[u8]| {
            let mut head = b"PK\x03\x04".to_vec();
            head.resize(26, 0);
            head.extend((entry.len() as u16).to_le_bytes());
            head.extend([0, 0]);
            head.extend(entry);
            head
        };
        let mut tar = b"model/config.json".to_vec();
        tar.resize(257, 0);
        tar.extend(b"ustar\x0000");
        let mut safetensors = 20u64.to_le_bytes().to_vec();
        safetensors.extend(b"{\"__metadata__\":{}}  ");
        let cases: &[(&[u8], &str)] = &[
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS pointer"),
            (b"/annex/objects/SHA256E-s7--ab.gguf\n", "git-annex pointer"),
            (b"<!doctype html><html>", "web page"),
            (b"\xef\xbb\xbf\r\n  <HTML lang=en>", "web page"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", "web page"),
            (&safetensors, "safetensors"),
            (b"\x80\x02}q\x00(X", "pickle"),
            (b"\x80\x02\x8a\nl\xfc\x9cF", "pickle"),
            (b"\x80\x04\x95\x10", "pickle"),
            (&zip(b"archive/data.pkl"), "pickle"),
            (&zip(b"model/config.json"), "ZIP"),
            (&zip(b"weight.npy"), "npz"),
            (&tar, "tar"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"\x89HDF\r\n\x1a\n\0", "HDF5"),
            (b"tjgg\x03\0\0\0", "before GGUF"),
            (b"lmgg\x01\0\0\0", "before GGUF"),
            (b"\x08\x07\x12\x07pytorch", "ONNX"),
            (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
            (b"{\"error\":\"Invalid username or password.\"}", "JSON"),
            (b"{\"schemaVersion\":2,\"mediaType\"", "manifest"),
            (b"Entry not found", "text"),
            (&[0; 64], "zeros"),
            (b"GGUF\x03\0\0\0", ""),
            (b"\x01\x02\x03\x04\x05", ""),
        ];
        for (head, expected) in cases {
            let found = what(head);
            assert!(if expected.is_empty() { found.is_empty() } else { found.contains(expected) }, "{head:?}: {found} for {expected}");
        }
    }

    #[test]
    fn a_length_that_the_file_has_not_is_no_safetensors() {
        let mut head = u64::MAX.to_le_bytes().to_vec();
        head.extend(b"{\"a\"");
        assert!(!what(&head).contains("safetensors"));
    }
}
