// The products of a layer's tail in turn: each phase waits for the vector of the one before, and sends its own.

// o = a Woᵀ: a subgroup a row.
fn send_o(wg: u32, warp: u32, lane: u32) {
    let planes = vec4<u32>(params.o_x, params.o_y, params.o_z, params.o_w);
#repeat j JO
#repeat u UA
    let weights_o{j}_{u} = codes_group_o(planes, min(wg + W * (warp + {j}u * WARPS), D - 1u) * (A / 32u) + min({u}u * SUB + lane, A / 32u - 1u));
#end
#end
#repeat u UA
    let ag{u} = min({u}u * SUB + lane, A / 32u - 1u);
    let as{u} = a_scales[ag{u}];
    let a_here{u} = {u}u * SUB + lane < A / 32u;
    let a{u} = Given(a_codes[2u * ag{u}], a_codes[2u * ag{u} + 1u], select(0.0, bitcast<f32>(as{u}.x), a_here{u}), unpack2x16float(as{u}.y));
#end
#repeat j JO
    var o{j} = 0.0;
#repeat u UA
    o{j} += codes_dot_o(weights_o{j}_{u}, a{u});
#end
    o{j} = subgroupAdd(o{j});
#end
#repeat j JO
    if (lane == 0u && wg + W * (warp + {j}u * WARPS) < D) { publish(O_AT + wg + W * (warp + {j}u * WARPS), o{j}); }
#end
}

// h1 = h + RMS(o) norm_o; f = gelu(x Gᵀ) (x Uᵀ) of x = RMS(h1) norm_up: half a subgroup a row.
fn send_f(v: ptr<function, array<f32, HOLDS>>, wg: u32, warp: u32, lane: u32) {
    let planes = vec4<u32>(params.up_x, params.up_y, params.up_z, params.up_w);
    let side = side_of(lane);
    let inner = inner_of(lane);
#repeat u UX
    let xg{u} = {u}u * (SUB / 2u) + inner;
    let first_up{u} = codes_group_up(planes, (2u * pair_of(wg, warp) + side) * DG + min(xg{u}, DG - 1u));
#end
    var by_o: array<f32, HOLDS>;
    var by_up: array<f32, HOLDS>;
#repeat k HOLDS
    by_o[{k}] = norm_o[place_of({k}u, warp, lane)];
    by_up[{k}] = norm_up[place_of({k}u, warp, lane)];
#end
    workgroupBarrier();
    let o = take(O_AT, warp, lane);
    let o_scale = norm_scale(o, warp, lane, 0u);
#repeat k HOLDS
    (*v)[{k}] = select(0.0, (*v)[{k}] + o[{k}] * o_scale * by_o[{k}], is_here({k}u, warp));
#end
    // A norm's scale commutes with the product: codes need not wait for it.
    stage_all(*v, by_up, warp, lane);
    let up_scale = norm_scale(*v, warp, lane, 1u);
#repeat j PAIRS
    var up{j} = 0.0;
#end
    // A group at a time with all rows: what all are multiplied with would fill the registers.
#repeat u UX
    {
        var x = given(min(xg{u}, DG - 1u));
        x.d = select(0.0, x.d * up_scale, xg{u} < DG);
#repeat j PAIRS
        {
            var w = first_up{u};
            if ({j}u > 0u) { w = codes_group_up(planes, (2u * pair_of(wg, warp + {j}u * WARPS) + side) * DG + min(xg{u}, DG - 1u)); }
            up{j} += codes_dot_up(w, x);
        }
#end
    }
#end
#repeat r GATED
    var gated{r} = vec2<f32>();
#end
#repeat j PAIRS
    up{j} = inner_sum(up{j});
    let other{j} = subgroupShuffleXor(up{j}, SUB / 2u);
#repeat r GATED
    gated{r} = select(gated{r}, vec2<f32>(up{j}, other{j}), lane + {r}u * SUB == {j}u);
#end
#end
    // The second half of the subgroup has gate and up the other way round.
#repeat r GATED
    {
        let t = warp + ({r}u * SUB + lane) * WARPS;
        let both = select(gated{r}.yx, gated{r}, side == 0u);
        if ({r}u * SUB + lane < PAIRS && t < 16u * EACH_f) { made[t] = gelu(both.x) * both.y; }
    }
#end
    workgroupBarrier();
    send_halves_f(wg, warp, lane);
}

// d = f Wdᵀ: SPLIT subgroups share a row.
fn send_d(wg: u32, warp: u32, lane: u32) {
    let planes = vec4<u32>(params.down_x, params.down_y, params.down_z, params.down_w);
    let lid = warp * SUB + lane;
    let share = warp % SPLIT;
    let slot = warp / SPLIT;
#repeat u UF
    let fg{u} = (share * UF + {u}u) * SUB + lane;
    let first_down{u} = codes_group_down(planes, min(wg + W * slot, D - 1u) * (F / 32u) + min(fg{u}, F / 32u - 1u));
#end
    workgroupBarrier();
    take_halves_f(lid, lane);
    workgroupBarrier();
#repeat j JD
    var down{j} = 0.0;
#end
#repeat u UF
    {
        let y = given_halves(min(fg{u}, F / 32u - 1u), fg{u} < F / 32u);
#repeat j JD
        {
            var w = first_down{u};
            if ({j}u > 0u) { w = codes_group_down(planes, min(wg + W * (slot + {j}u * (WARPS / SPLIT)), D - 1u) * (F / 32u) + min(fg{u}, F / 32u - 1u)); }
            down{j} += codes_dot_halves_down(w, y);
        }
#end
    }
#end
#repeat j JD
    down{j} = subgroupAdd(down{j});
#end
#repeat j JD
    if (lane == 0u && slot + {j}u * (WARPS / SPLIT) < RD) { sums[(slot + {j}u * (WARPS / SPLIT)) * SPLIT + share] = down{j}; }
#end
    workgroupBarrier();
    for (var at = lid; at < RD && wg + W * at < D; at += WG) {
        var sum = 0.0;
        for (var s = 0u; s < SPLIT; s++) { sum += sums[at * SPLIT + s]; }
        publish(D_AT + wg + W * at, sum);
    }
}

// h2 = h1 + RMS(d) norm_down; u = gelu(h2 Wgᵀ) e: TEAM subgroups a row.
fn send_u(v: ptr<function, array<f32, HOLDS>>, wg: u32, warp: u32, lane: u32) {
    let planes = vec4<u32>(params.gate_x, params.gate_y, params.gate_z, params.gate_w);
    let lid = warp * SUB + lane;
#repeat j JG
    let gate_at{j} = warp / TEAM + {j}u * (WARPS / TEAM);
    let gate_row{j} = min(wg + W * gate_at{j}, P - 1u);
#repeat q QG
    let gq{j}_{q} = ({q}u * TEAM + warp % TEAM) * SUB + lane;
    let gate{j}_{q} = decode4_gate(planes, gate_row{j} * DG + min(gq{j}_{q}, DQ - 1u) / 8u, min(gq{j}_{q}, DQ - 1u) % 8u);
#end
#end
    var by_down: array<f32, HOLDS>;
#repeat k HOLDS
    by_down[{k}] = norm_down[place_of({k}u, warp, lane)];
#end
    workgroupBarrier();
    let d = take(D_AT, warp, lane);
    let d_scale = norm_scale(d, warp, lane, 0u);
#repeat k HOLDS
    (*v)[{k}] += d[{k}] * d_scale * by_down[{k}];
    if (is_here({k}u, warp)) { values[place_of({k}u, warp, lane)] = (*v)[{k}]; }
#end
    workgroupBarrier();
#repeat j JG
#repeat q QG
    let gi{j}_{q} = 4u * min(gq{j}_{q}, DQ - 1u);
    let gx{j}_{q} = vec4<f32>(values[gi{j}_{q}], values[gi{j}_{q} + 1u], values[gi{j}_{q} + 2u], values[gi{j}_{q} + 3u]);
#end
    var gate_sum{j} = 0.0;
#repeat q QG
    gate_sum{j} += select(0.0, dot(gate{j}_{q}, gx{j}_{q}), gq{j}_{q} < DQ);
#end
    gate_sum{j} = subgroupAdd(gate_sum{j});
#end
#repeat j JG
    if (lane == 0u && gate_at{j} < RP) { sums[RD * SPLIT + gate_at{j} * TEAM + warp % TEAM] = gate_sum{j}; }
#end
    workgroupBarrier();
    for (var at = lid; at < RP && wg + W * at < P; at += WG) {
        var sum = 0.0;
        for (var s = 0u; s < TEAM; s++) { sum += sums[RD * SPLIT + at * TEAM + s]; }
        publish(U_AT + wg + W * at, gelu(sum) * e[params.e_offset + wg + W * at]);
    }
}

// p = u Wpᵀ: a subgroup a row.
fn send_p(wg: u32, warp: u32, lane: u32) {
    let planes = vec4<u32>(params.proj_x, params.proj_y, params.proj_z, params.proj_w);
    let lid = warp * SUB + lane;
#repeat j JO
#repeat q QP
    let pq{j}_{q} = {q}u * SUB + lane;
    let proj{j}_{q} = decode4_proj(planes, min(wg + W * (warp + {j}u * WARPS), D - 1u) * (P / 32u) + min(pq{j}_{q}, P / 4u - 1u) / 8u, min(pq{j}_{q}, P / 4u - 1u) % 8u);
#end
#end
    workgroupBarrier();
#repeat i IU
    let ui{i} = min(lid + {i}u * WG, P - 1u);
    var u{i} = atomicLoad(&words[U_AT + ui{i}]);
#end
    var missing = true;
    for (var k = 0u; k < patience; k++) {
        missing = false;
#repeat i IU
        if (subgroupAny(u{i} == 0u)) { u{i} = atomicLoad(&words[U_AT + ui{i}]); }
        missing = missing | (u{i} == 0u);
#end
        if (!subgroupAny(missing)) { break; }
    }
    check(missing, lane);
#repeat i IU
    values[ui{i}] = bitcast<f32>(u{i});
#end
    workgroupBarrier();
#repeat j JO
    var p{j} = 0.0;
#repeat q QP
    {
        let i = 4u * min(pq{j}_{q}, P / 4u - 1u);
        let x = vec4<f32>(values[i], values[i + 1u], values[i + 2u], values[i + 3u]);
        p{j} += select(0.0, dot(proj{j}_{q}, x), pq{j}_{q} < P / 4u);
    }
#end
    p{j} = subgroupAdd(p{j});
#end
#repeat j JO
    if (lane == 0u && wg + W * (warp + {j}u * WARPS) < D) { publish(P_AT + wg + W * (warp + {j}u * WARPS), p{j}); }
#end
}

// h' = (h2 + RMS(p) norm_proj) scale, and what follows it: half a subgroup a row of the product that opens the next layer.
fn finish(v: ptr<function, array<f32, HOLDS>>, wg: u32, warp: u32, lane: u32) {
    let lid = warp * SUB + lane;
#if next
    let side = side_of(lane);
    let inner = inner_of(lane);
    let planes = vec4<u32>(params.next_x, params.next_y, params.next_z, params.next_w);
#repeat u UX
    let xg{u} = {u}u * (SUB / 2u) + inner;
#end
#repeat j JN
    let next_row{j} = wg + W * (2u * (warp + {j}u * WARPS) + side);
#repeat u UX
    let next{j}_{u} = codes_group_next(planes, min(next_row{j}, R - 1u) * DG + min(xg{u}, DG - 1u));
#end
#end
#endif
    var by_proj: array<f32, HOLDS>;
    var by_next: array<f32, HOLDS>;
#repeat k HOLDS
    by_proj[{k}] = norm_proj[place_of({k}u, warp, lane)];
    by_next[{k}] = norm_next[place_of({k}u, warp, lane)];
#end
    workgroupBarrier();
    let p = take(P_AT, warp, lane);
    let p_scale = norm_scale(p, warp, lane, 1u);
#repeat k HOLDS
    (*v)[{k}] = select(0.0, ((*v)[{k}] + p[{k}] * p_scale * by_proj[{k}]) * params.scale, is_here({k}u, warp));
#end
    stage_all(*v, by_next, warp, lane);
    let next_scale = norm_scale(*v, warp, lane, 0u);
    let failed = (patience == 0u) | (atomicLoad(&words[STATUS]) != 0u);
    if (wg == 0u) {
#repeat k HOLDS
        if (is_here({k}u, warp)) { out[place_of({k}u, warp, lane)] = select(bitcast<u32>((*v)[{k}]), 0x7fc00000u, failed); }
#end
#if codes
        for (var i = lid; i < DG; i += WG) {
            let scale = group_scales[i];
            y_scales[i] = vec2<u32>(select(bitcast<u32>(bitcast<f32>(scale.x) * next_scale), 0x7fc00000u, failed), scale.y);
        }
        for (var i = lid; i < D / 4u; i += WG) { y_codes[i] = staged[i % 8u * PITCH + i / 8u]; }
#endif
    }
#if next
#repeat j JN
    var next{j} = 0.0;
#end
#repeat u UX
    {
        var n = given(min(xg{u}, DG - 1u));
        n.d = select(0.0, n.d * next_scale, xg{u} < DG);
#repeat j JN
        next{j} += codes_dot_next(next{j}_{u}, n);
#end
    }
#end
#repeat j JN
    next{j} = inner_sum(next{j});
#end
#repeat j JN
    if (inner == 0u && next_row{j} < R) { y[next_row{j}] = next{j}; }
#end
#endif
}
