//! Broken files: each is a typed error that names its place, costs little memory and never panics.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use crate::common::{Raw, open, small_file};
use rullama_source::gguf::{Gguf, GgufError, MetadataError};

/// Counts what the current thread has allocated.
struct Counting;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // The thread's storage may be gone while it ends; such allocations are of no interest.
    let _ = NOW.try_with(|now| {
        now.set(now.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
    });
}

// SAFETY: every call is handed to the system's allocator unchanged.
#[allow(unsafe_code, reason = "an allocator can be counted in no other way")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's obligations are ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's obligations are ours.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Opens `bytes` and holds the peak of memory under the file's size times a small factor.
fn open_counted(bytes: &[u8]) -> Result<Gguf, GgufError> {
    PEAK.set(NOW.get());
    let before = NOW.get();
    let result = open(bytes);
    let peak = PEAK.get() - before;
    let bound = 16 * bytes.len() as isize + 4096;
    assert!(peak <= bound, "{peak} bytes for a file of {}", bytes.len());
    result
}

fn the_counter_counts() {
    PEAK.set(NOW.get());
    let before = NOW.get();
    drop(vec![1u8; 1 << 20]);
    assert!(PEAK.get() - before >= 1 << 20);
}

fn truncated_at_every_byte() {
    let file = small_file();
    let whole = open_counted(&file).unwrap();
    let end = whole.tensors.iter().map(|tensor| tensor.range.end).max().unwrap();
    for len in 0..end as usize {
        let error = open_counted(&file[..len]).expect_err("a part of a file is no file");
        let expected = if (len as u64) < whole.data_start.min(header_end(&whole)) {
            matches!(error, GgufError::HeaderTruncated { .. })
        } else {
            matches!(error, GgufError::Truncated { expected, actual, .. }
                if expected == end && actual == len as u64)
        };
        assert!(expected, "{len}: {error:?}");
    }
    // The padding behind the last tensor may be missing.
    assert!(open_counted(&file[..end as usize]).is_ok());
}

/// Bytes of the header without its padding: 24, the pairs and the infos.
fn header_end(file: &Gguf) -> u64 {
    let infos: u64 = file.tensors.iter().map(|t| 8 + t.name.len() as u64 + 4 + 16 + 4 + 8).sum();
    let mut writer_metadata = Vec::new();
    let writer = rullama_source::gguf::write::GgufWriter::new(file.metadata.clone()).unwrap();
    writer_metadata.extend(writer.start(Vec::new()).unwrap().finish().unwrap());
    writer_metadata.len() as u64 + infos
}

fn every_byte_flipped() {
    let file = small_file();
    let header = open(&file).unwrap().data_start as usize;
    let mut refused = 0;
    for at in 0..header {
        for flip in [0x01, 0x80, 0xff] {
            let mut broken = file.clone();
            broken[at] ^= flip;
            refused += usize::from(open_counted(&broken).is_err());
        }
    }
    assert!(refused > header / 2, "only {refused} of {} flips were noticed", header * 3);
}

fn preamble() {
    let error = |bytes: &[u8]| open_counted(bytes).unwrap_err();
    assert!(matches!(error(b""), GgufError::HeaderTruncated { .. }));
    assert!(matches!(error(b"GGML\x03\0\0\0"), GgufError::NotGguf { .. }));
    assert!(matches!(error(b"GGUF\0\0\0\x03"), GgufError::BigEndian { .. }));
    for version in [0, 1, 4] {
        let error = Raw::new(version, 0, 0).open().unwrap_err();
        assert!(matches!(error, GgufError::Version { version: v, .. } if v == version));
    }
    for version in [2, 3] {
        assert_eq!(Raw::new(version, 0, 0).open().unwrap().version, version);
    }
}

fn absurd_counts() {
    for count in [2, 1000, 65_537, 1 << 40, 1 << 63, u64::MAX] {
        let refused = |raw: &Raw, field: &str| match open_counted(&raw.0).unwrap_err() {
            GgufError::TooLarge { field: f, .. } | GgufError::HeaderTruncated { field: f, .. } => {
                assert!(f.starts_with(field), "{f}");
            }
            other => panic!("{other:?}"),
        };
        refused(&Raw::new(3, count, 0), "tensor count");
        refused(&Raw::new(3, 0, count), "metadata count");
        let mut raw = Raw::new(3, 0, 1);
        raw.u64(count);
        refused(raw.bytes(b"k"), "metadata count");
        let mut raw = Raw::new(3, 0, 1);
        refused(raw.text(b"k").u32(8).u64(count).bytes(b"v"), "value of metadata key k");
        for id in [0u32, 4, 8, 12] {
            let mut raw = Raw::new(3, 0, 1);
            raw.text(b"k").u32(9).u32(id).u64(count).bytes(b"v");
            refused(&raw, "element count of metadata key k");
        }
        let mut raw = Raw::new(3, 1, 0);
        raw.u64(count.max(64)).bytes(&[b'n'; 63]);
        refused(&raw, "name of tensor 0");
    }
}

fn values() {
    let pair = |key: &[u8], value: &[u8]| {
        let mut raw = Raw::new(3, 0, 1);
        raw.text(key).bytes(value).bytes(&[0; 16]);
        open_counted(&raw.0).map(|_| ())
    };
    assert!(pair(b"k", &[7, 0, 0, 0, 1]).is_ok());
    assert!(matches!(pair(b"k", &[7, 0, 0, 0, 2]), Err(GgufError::Invalid { value: 2, .. })));
    assert!(matches!(pair(b"k", &[13, 0, 0, 0]), Err(GgufError::Invalid { value: 13, .. })));
    let nested = [9, 0, 0, 0, 9, 0, 0, 0];
    assert!(matches!(pair(b"k", &nested), Err(GgufError::Invalid { value: 9, .. })));
    let flags = [9, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5];
    assert!(matches!(pair(b"k", &flags), Err(GgufError::Invalid { value: 5, .. })));
    assert!(matches!(pair(b"", &[0; 5]), Err(GgufError::BadName { .. })));
    assert!(matches!(pair(b"a\0", &[0; 5]), Err(GgufError::BadName { .. })));
    assert!(matches!(pair(b"\xff", &[0; 5]), Err(GgufError::NotUtf8 { offset: 32, .. })));
    let text = [8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xff];
    assert!(matches!(pair(b"k", &text), Err(GgufError::NotUtf8 { .. })));
    let mut raw = Raw::new(3, 0, 2);
    raw.text(b"k").bytes(&[0; 5]).text(b"k").bytes(&[0; 5]);
    assert!(matches!(raw.open(), Err(GgufError::Duplicate { .. })));
}

fn alignment() {
    let with = |type_id: u32, value: u32| {
        let mut raw = Raw::new(3, 0, 1);
        raw.text(b"general.alignment").u32(type_id).u32(value);
        open_counted(&raw.0)
    };
    assert_eq!(with(4, 64).unwrap().alignment, 64);
    for bad in [0, 3, 48, 1 << 21] {
        let error = with(4, bad).unwrap_err();
        assert!(matches!(error, GgufError::Metadata(MetadataError::OutOfRange { .. })));
    }
    let error = with(5, 32).unwrap_err();
    assert!(matches!(error, GgufError::Metadata(MetadataError::WrongType { .. })));
}

fn tensors() {
    let one = |name: &[u8], dims: &[u64], id: u32, offset: u64| {
        let mut raw = Raw::new(3, 1, 0);
        raw.tensor(name, dims, id, offset).data(4096);
        open_counted(&raw.0)
    };
    assert!(one(b"t", &[32, 2], 0, 0).is_ok());
    assert!(matches!(one(b"", &[1], 0, 0), Err(GgufError::BadName { .. })));
    assert!(matches!(one(b"a\0b", &[1], 0, 0), Err(GgufError::BadName { .. })));
    assert!(matches!(one(&[b'x'; 64], &[1], 0, 0), Err(GgufError::TooLarge { .. })));
    assert!(matches!(one(b"\xc3\x28", &[1], 0, 0), Err(GgufError::NotUtf8 { .. })));
    for dims in [&[][..], &[1, 1, 1, 1, 1], &[0], &[4, 0], &[1 << 63]] {
        assert!(matches!(one(b"t", dims, 0, 0), Err(GgufError::Invalid { .. })), "{dims:?}");
    }
    for dims in [&[1 << 32, 1 << 32][..], &[1 << 62, 4], &[i64::MAX as u64, 2]] {
        assert!(matches!(one(b"t", dims, 0, 0), Err(GgufError::SizeOverflow { .. })), "{dims:?}");
    }
    for id in [4, 5, 31, 33, 36, 38, 43, u32::MAX] {
        assert!(matches!(one(b"t", &[32], id, 0), Err(GgufError::UnknownType { .. })));
    }
    assert!(matches!(one(b"t", &[33], 2, 0), Err(GgufError::BlockShape { .. })));
    assert!(matches!(one(b"t", &[128], 12, 0), Err(GgufError::BlockShape { .. })));
    for offset in [1, 16, u64::MAX - 31, u64::MAX] {
        assert!(matches!(one(b"t", &[32], 0, offset), Err(GgufError::BadOffset { .. })));
    }
    let error = one(b"t", &[1024, 2], 0, 0).unwrap_err();
    assert!(matches!(&error, GgufError::Truncated { tensor, .. } if tensor == "t"), "{error:?}");
    let two = |second: &[u8], offset: u64| {
        let mut raw = Raw::new(3, 2, 0);
        raw.tensor(b"a", &[32], 0, 0).tensor(second, &[32], 0, offset).data(4096);
        open_counted(&raw.0)
    };
    assert!(two(b"b", 128).is_ok());
    assert!(two(b"b", 1024).is_ok(), "gaps are allowed");
    assert!(matches!(two(b"b", 96), Err(GgufError::Overlap { .. })));
    assert!(matches!(two(b"b", 0), Err(GgufError::Overlap { .. })));
    assert!(matches!(two(b"a", 128), Err(GgufError::Duplicate { .. })));
}

fn a_type_without_arithmetic_fails_only_where_it_is_used() {
    let mut raw = Raw::new(3, 2, 0);
    raw.tensor(b"v.scale", &[64], 40, 0).tensor(b"ids", &[4], 26, 64).data(128);
    let file = raw.open().unwrap();
    let tensor = file.tensors.require("v.scale").unwrap();
    assert_eq!(tensor.bytes(), 36);
    assert!(matches!(tensor.dtype(), Err(GgufError::UnsupportedType { type_name: "NVFP4", .. })));
    assert!(matches!(file.tensors.require("w"), Err(GgufError::MissingTensor { .. })));
}

fn the_header_as_a_whole_is_bounded() {
    use std::io::{Seek, SeekFrom, Write};
    const ELEMENTS: u64 = 6 << 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse.gguf");
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&Raw::new(3, 0, 8).0).unwrap();
    for i in 0..8 {
        let mut raw = Raw(Vec::new());
        raw.text(format!("k{i}").as_bytes()).u32(9).u32(10).u64(ELEMENTS);
        file.write_all(&raw.0).unwrap();
        file.seek(SeekFrom::Current(ELEMENTS as i64 * 8)).unwrap();
    }
    file.write_all(&[0; 64]).unwrap();
    PEAK.set(NOW.get());
    let before = NOW.get();
    let error = pollster::block_on(Gguf::open(&rullama_source::FileSource::open(&path).unwrap())).unwrap_err();
    let peak = PEAK.get() - before;
    assert!(matches!(&error, GgufError::TooLarge { field, .. } if field.contains("k2")), "{error:?}");
    assert!(peak < 2 * rullama_source::gguf::MAX_HEADER as isize, "{peak} bytes");
}

rullama_testing::tests! {
    the_counter_counts,
    truncated_at_every_byte,
    every_byte_flipped,
    preamble,
    absurd_counts,
    values,
    alignment,
    tensors,
    a_type_without_arithmetic_fails_only_where_it_is_used,
    the_header_as_a_whole_is_bounded,
}
