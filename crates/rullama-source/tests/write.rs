//! Writing to a file: its name appears only with a complete file under it.

use crate::common::{every_value, small_file};
use rullama_source::gguf::{
    GgmlType, GgufError, Metadata, Value,
    write::{GgufWriter, WriteError, create},
};

fn writer() -> GgufWriter {
    let mut writer = GgufWriter::new(every_value()).unwrap();
    let types = [("blk.0.attn_q.weight", 8, [64, 3]), ("norm.weight", 0, [5, 1]), ("e", 1, [4, 2])];
    for (name, id, dims) in types {
        writer.add(name, &dims, GgmlType::from_id(id).unwrap()).unwrap();
    }
    writer
}

fn a_file_is_published_when_complete() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model.gguf");
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    let fill = |last: usize| {
        let mut stream = create(writer(), &out, false)?;
        assert!(!out.exists());
        stream.write("blk.0.attn_q.weight", &[7; 204])?;
        stream.write("norm.weight", &[7; 20])?;
        stream.write("e", &vec![7; last])?;
        stream.publish()
    };
    assert!(matches!(fill(15), Err(WriteError::Size { got: 15, expected: 16, .. })));
    assert_eq!(files(), 0, "a run that is cut off leaves nothing");
    assert_eq!(fill(16).unwrap(), out);
    assert_eq!(std::fs::read(&out).unwrap(), small_file());
    assert_eq!(files(), 1);
    assert!(matches!(fill(16), Err(WriteError::Exists { .. })));
    drop(create(writer(), &out, true).unwrap());
    assert_eq!(std::fs::read(&out).unwrap(), small_file(), "an unfinished run overwrites nothing");
    let empty = GgufWriter::new(Metadata::default()).unwrap();
    create(empty, &out, true).unwrap().publish().unwrap();
    assert_eq!(std::fs::read(&out).unwrap().len(), 24);
    assert_eq!(files(), 1);
}

fn a_name_taken_meanwhile_is_respected() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model.gguf");
    let stream = create(GgufWriter::new(Metadata::default()).unwrap(), &out, false).unwrap();
    std::fs::write(&out, b"another's").unwrap();
    assert!(matches!(stream.publish(), Err(WriteError::Exists { .. })));
    assert_eq!(std::fs::read(&out).unwrap(), b"another's");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn misuse_is_refused() {
    let mut stream = writer().start(Vec::new()).unwrap();
    assert!(matches!(stream.write("e", &[0; 4]), Err(WriteError::Order { .. })));
    assert!(matches!(stream.write("blk.0.attn_q.weight", &[0; 205]), Err(WriteError::Size { expected: 204, got: 205, .. })));
    assert!(matches!(stream.finish(), Err(WriteError::Size { got: 0, .. })));

    let mut writer = writer();
    let f32 = GgmlType::F32;
    let mut add = |name: &str, dims: &[u64], ggml| match writer.add(name, dims, ggml).unwrap_err() {
        WriteError::Gguf(error) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(add("e", &[1], f32), GgufError::Duplicate { .. }));
    assert!(matches!(add("", &[1], f32), GgufError::BadName { .. }));
    assert!(matches!(add(&"x".repeat(64), &[1], f32), GgufError::BadName { .. }));
    assert!(matches!(add("t", &[], f32), GgufError::SizeOverflow { .. }));
    assert!(matches!(add("t", &[4, 0], f32), GgufError::SizeOverflow { .. }));
    assert!(matches!(add("t", &[1 << 40, 1 << 40], f32), GgufError::SizeOverflow { .. }));
    let q4_k = GgmlType::from_id(12).unwrap();
    assert!(matches!(add("t", &[128], q4_k), GgufError::BlockShape { .. }));

    let mut metadata = Metadata::default();
    metadata.set("general.alignment", Value::U32(48));
    assert!(matches!(GgufWriter::new(metadata), Err(WriteError::Alignment)));
}

rullama_testing::tests! {
    a_file_is_published_when_complete,
    a_name_taken_meanwhile_is_respected,
    misuse_is_refused,
}
