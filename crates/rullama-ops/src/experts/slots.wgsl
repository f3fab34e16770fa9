// The expert of each slot: `used` slots a token.
#param used: u32
#param ids_offset: u32
#param ids_stride: u32
@group(0) @binding(_) var<storage, read> ids: array<f32>;

fn expert_of(slot: u32) -> u32 {
    return u32(ids[params.ids_offset + slot / params.used * params.ids_stride + slot % params.used]);
}
