// Four neighbouring values as a cache keeps them.
alias Stored = vec4<f32>;
fn stored(x: vec4<f32>) -> Stored { return x; }
