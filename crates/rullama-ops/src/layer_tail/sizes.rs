//! How a layer's rows are shared out over workgroups and subgroups.

use rullama_gpu::Caps;

/// Invocations of a workgroup: 24 subgroups of 32, with 85 registers each where 65,536 are shared. 512 were slower on an H100.
pub const WORKGROUP: u32 = 768;

/// Words that a layer of these sizes passes on by.
pub fn words(dim: u32, ffn: u32, per_layer: u32) -> u32 {
    4 + 3 * dim + per_layer + ffn / 4 + ffn / 16
}

pub(super) struct Sizes {
    workgroups: u32,
    subgroup: u32,
}

impl Sizes {
    pub fn new(workgroups: u32, caps: &Caps) -> Sizes {
        Sizes { workgroups, subgroup: caps.subgroups.map_or(1, |size| size.0) }
    }

    /// Constants of the kernel for a residual stream of `d`, attention of `a`, a feed-forward of `f`, `p` per-layer values and `r` rows behind.
    pub fn constants(&self, [d, a, f, p, r]: [u32; 5]) -> Vec<(&'static str, u32)> {
        let (w, wg, sub) = (self.workgroups, WORKGROUP, self.subgroup);
        let warps = wg / sub;
        // Rows of a workgroup; subgroups that share one, so that a lane has a few groups of it.
        let (rd, rp) = (d.div_ceil(w), p.div_ceil(w));
        let split = (f / 32).div_ceil(3 * sub).next_power_of_two().min(4).min(warps);
        let team = 1 << (warps / rp.min(warps)).max(1).ilog2();
        let each = (f / 16).div_ceil(w);
        let pairs = (16 * each).div_ceil(warps);
        let held = 32 / sub;
        let groups = (d / 32).div_ceil(warps);
        vec![
            ("W", w),
            ("WG", wg),
            ("SUB", sub),
            ("D", d),
            ("A", a),
            ("F", f),
            ("P", p),
            ("R", r),
            ("MOST", f.max(d)),
            ("RD", rd),
            ("RP", rp),
            ("SPLIT", split),
            ("TEAM", team),
            ("HELD", held),
            ("HALVINGS", (sub / 2).ilog2()),
            ("HOLDS", held * groups),
            ("HOLDS_GROUPS", groups),
            ("HELD16", (16 / sub).max(1)),
            ("ADDENDS", warps.div_ceil(sub)),
            ("UA", (a / 32).div_ceil(sub)),
            ("UX", (d / 32).div_ceil(sub / 2)),
            ("UF", (f / 32).div_ceil(sub * split)),
            ("JO", rd.div_ceil(warps)),
            ("JD", rd.div_ceil(warps / split)),
            ("JG", rp.div_ceil(warps / team)),
            ("JN", r.div_ceil(w).div_ceil(2 * warps)),
            ("QG", (d / 4).div_ceil(team * sub)),
            ("QP", (p / 4).div_ceil(sub)),
            ("IU", p.div_ceil(wg)),
            ("PAIRS", pairs),
            ("GATED", pairs.div_ceil(sub)),
            ("EACH_f", each),
            ("ROUNDS_f", each.div_ceil(warps)),
            ("CODES_f", (f / 4).div_ceil(wg)),
            ("SCALES_f", (f / 16).div_ceil(wg)),
        ]
    }
}
