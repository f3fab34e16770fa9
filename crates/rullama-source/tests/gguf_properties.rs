//! Properties of the parser and the writer over arbitrary input.

use crate::common::{every_value, open, small_file};
use proptest::prelude::*;
use rullama_source::gguf::{Array, GgmlType, Metadata, MetadataError, StringArray, Value, write::GgufWriter};

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u8>().prop_map(Value::U8),
        any::<i16>().prop_map(Value::I16),
        any::<u32>().prop_map(Value::U32),
        any::<i64>().prop_map(Value::I64),
        any::<bool>().prop_map(Value::Bool),
        any::<String>().prop_map(Value::String),
        prop::collection::vec(any::<i32>(), 0..20).prop_map(|v| Value::Array(Array::I32(v))),
        prop::collection::vec(any::<bool>(), 0..20).prop_map(|v| Value::Array(Array::Bool(v))),
        prop::collection::vec(any::<String>(), 0..20)
            .prop_map(|v| { Value::Array(Array::String(v.iter().map(String::as_str).collect::<StringArray>())) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    fn any_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..600), framed in any::<bool>()) {
        if framed && bytes.len() >= 24 {
            bytes[..8].copy_from_slice(b"GGUF\x03\0\0\0");
            bytes[9..16].fill(0);
            bytes[17..24].fill(0);
        }
        let _ = open(&bytes);
    }

    fn several_bytes_changed(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
        let mut file = small_file();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Ok(gguf) = open(&file) {
            for tensor in &gguf.tensors {
                prop_assert!(tensor.range.end <= file.len() as u64);
                prop_assert_eq!(tensor.rows() * tensor.row_bytes(), tensor.bytes());
            }
        }
    }

    fn written_is_read(
        pairs in prop::collection::btree_map("[a-z.]{1,20}", value(), 0..12),
        shapes in prop::collection::vec((1u64..5, 1u64..4, 0usize..4), 0..6),
        alignment in prop::sample::select(vec![8u32, 32, 256]),
    ) {
        let mut metadata = Metadata::default();
        for (key, value) in pairs {
            metadata.set(key, value);
        }
        metadata.set("general.alignment", Value::U32(alignment));
        let mut writer = GgufWriter::new(metadata.clone()).unwrap();
        let types = [0, 1, 8, 12].map(|id| GgmlType::from_id(id).unwrap());
        for (i, &(blocks, rows, kind)) in shapes.iter().enumerate() {
            let dims = [blocks * types[kind].block_len(), rows];
            writer.add(&format!("t{i}"), &dims, types[kind]).unwrap();
        }
        let mut stream = writer.start(Vec::new()).unwrap();
        for (i, &(blocks, rows, kind)) in shapes.iter().enumerate() {
            let bytes = vec![i as u8 + 1; (blocks * rows * types[kind].block_bytes()) as usize];
            let (first, second) = bytes.split_at(bytes.len() / 3);
            stream.write(&format!("t{i}"), first).unwrap();
            stream.write(&format!("t{i}"), second).unwrap();
        }
        let bytes = stream.finish().unwrap();
        let file = open(&bytes).unwrap();
        prop_assert_eq!(&file.metadata, &metadata);
        prop_assert_eq!(file.tensors.len(), shapes.len());
        for (i, tensor) in file.tensors.iter().enumerate() {
            let data = &bytes[tensor.range.start as usize..tensor.range.end as usize];
            prop_assert!(data.iter().all(|&b| b == i as u8 + 1));
            prop_assert_eq!(tensor.range.start % u64::from(alignment), 0);
        }
    }
}

fn accessors_are_lenient_in_width_and_strict_in_value() {
    let m = every_value();
    assert_eq!(m.u32("a.u8").unwrap(), 200);
    assert_eq!(m.u32("b.u16").unwrap(), 7);
    assert_eq!(m.u64("a.u64").unwrap(), 1 << 40);
    assert_eq!(m.f32("a.f64").unwrap(), 0.1);
    assert_eq!(m.f32("a.i8").unwrap(), -3.0);
    assert!(m.bool("a.bool").unwrap());
    assert_eq!(m.u32_array("b.i32").unwrap(), [3, 4, 5]);
    assert_eq!(m.i32_array("a.i32").unwrap(), [-7]);
    assert_eq!(m.u32_array("a.u8").unwrap(), [200]);
    assert_eq!(m.bool_array("b.bool").unwrap(), [true, false, true]);
    assert_eq!(m.f32_array("b.f32").unwrap(), [0.5, 1.5]);
    assert!(m.f32_array("b.empty").unwrap().is_empty());
    assert_eq!(m.strings("b.strings").unwrap().iter().collect::<Vec<_>>(), ["<pad>", "", "▁the", "é"]);
    let out_of_range = |e| matches!(e, MetadataError::OutOfRange { .. });
    let wrong_type = |e| matches!(e, MetadataError::WrongType { .. });
    assert!(out_of_range(m.u32("a.i32").unwrap_err()));
    assert!(out_of_range(m.u32("a.u64").unwrap_err()));
    assert!(out_of_range(m.bool("a.u8").unwrap_err()));
    assert!(out_of_range(m.u32_array("b.i8").unwrap_err()));
    assert!(wrong_type(m.u32("b.i32").unwrap_err()));
    assert!(wrong_type(m.u32("a.f32").unwrap_err()));
    assert!(wrong_type(m.u32_array("b.strings").unwrap_err()));
    assert!(wrong_type(m.str("a.u8").unwrap_err()));
    assert!(wrong_type(m.strings("b.u8").unwrap_err()));
    assert_eq!(m.u32("nothing").unwrap_err(), MetadataError::Missing { key: "nothing".into() });
    assert_eq!(MetadataError::optional(m.u32("nothing")), Ok(None));
    assert_eq!(MetadataError::optional(m.u32("a.u8")), Ok(Some(200)));
}

fn taking_a_key_leaves_the_others() {
    let mut m = every_value();
    let keys: Vec<String> = m.iter().map(|(key, _)| key.to_owned()).collect();
    assert_eq!(m.take_strings("b.strings").unwrap().len(), 4);
    assert!(m.take_strings("b.strings").is_err());
    assert!(m.take_strings("a.u8").is_err());
    for key in keys.iter().filter(|key| *key != "b.strings") {
        assert_eq!(m.get(key), every_value().get(key), "{key}");
    }
}

rullama_testing::tests! {
    any_bytes,
    several_bytes_changed,
    written_is_read,
    accessors_are_lenient_in_width_and_strict_in_value,
    taking_a_key_leaves_the_others,
}
