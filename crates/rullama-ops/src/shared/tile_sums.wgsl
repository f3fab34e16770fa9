// Within a kernel that forms a tile: which part of it this invocation forms, and its sums, those of token {i}{c} and four neighbouring
// rows {j}. Needs consts NX, the invocations that stand beside each other, M_QUADS and N_QUADS.
    let nx = lid % NX;
    let ny = lid / NX;
#repeat i M_QUADS
#repeat c 4
#repeat j N_QUADS
    var sum{i}{c}_{j} = vec4<f32>();
#end
#end
#end
