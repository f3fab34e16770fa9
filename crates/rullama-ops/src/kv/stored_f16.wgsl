// Four neighbouring values as a cache keeps them.
alias Stored = vec2<u32>;
fn stored(x: vec4<f32>) -> Stored { return vec2<u32>(pack2x16float(x.xy), pack2x16float(x.zw)); }
