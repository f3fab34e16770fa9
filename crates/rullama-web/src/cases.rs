//! The operations' cases on this browser's WebGPU: the same list as the native tests run, under the adapter's own
//! limits or under those that WebGPU guarantees.

use js_sys::Function;
use rullama::{AdapterProfile, Device, OpenOptions};
use rullama_ops::{all_cases, case::Case};
use serde::Deserialize;
use serde_json::json;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{
    error::WebError,
    js,
    options::{self, Adapter},
};

/// What to run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Run {
    adapter: Adapter,
    /// The device gets the `subgroups` feature.
    subgroups: bool,
    /// A CPU adapter gets the kernels that a GPU would get.
    as_gpu: bool,
    /// Only cases whose operation and name contain this.
    filter: String,
    /// Only what differs from the same case as a GPU with WebGPU's guaranteed limits would get it, in kernel text,
    /// parameters or workgroups.
    beyond_defaults: bool,
}

/// Runs cases, every variant against the CPU oracle. Tells `on_case` of each as JSON text
/// `{ op, name, variants, same, failures }`, where `same` counts variants that `beyondDefaults` left out;
/// gives `{ device, cases, subgroups }`.
#[wasm_bindgen]
pub async fn run_cases(options: String, on_case: Function) -> Result<String, JsValue> {
    std::panic::set_hook(Box::new(|info| js::report(&info.to_string())));
    let run: Run = options::parse("case options", &options)?;
    let device = open(run.adapter, run.subgroups, run.as_gpu).await?;
    let defaults = if run.beyond_defaults { Some(open(Adapter::WebgpuDefaults, false, true).await?) } else { None };
    let mut cases = 0;
    for case in all_cases() {
        if format!("{} {}", case.op.name(), case.name).contains(&run.filter) {
            cases += 1;
            let report = run_case(&case, &device, defaults.as_ref()).await;
            // A callback that throws has nobody to tell.
            let _ = on_case.call1(&JsValue::NULL, &report.into());
        }
    }
    Ok(json!({ "device": device.name(), "cases": cases, "subgroups": device.caps().subgroups }).to_string())
}

async fn open(adapter: Adapter, subgroups: bool, as_gpu: bool) -> Result<Device, WebError> {
    let profile = if adapter == Adapter::Native { AdapterProfile::Native } else { AdapterProfile::WebGpuDefaults };
    let options = OpenOptions { profile, browser_subgroups: subgroups, as_gpu };
    Ok(Device::open(&options).await.map_err(rullama::Error::from)?)
}

async fn run_case(case: &Case, device: &Device, defaults: Option<&Device>) -> String {
    let mut failures = Vec::new();
    let all = case.variants(device).await;
    let wanted = match defaults {
        Some(defaults) => case.variants_beyond(device, defaults.caps()).await,
        None => all.clone(),
    };
    let (all, wanted) = match (all, wanted) {
        (Ok(all), Ok(wanted)) => (all, wanted),
        (Err(error), _) | (_, Err(error)) => {
            failures.push(format!("{} / {}: {error}", case.op.name(), case.name));
            Default::default()
        }
    };
    for variant in &wanted {
        failures.extend(case.run_variant(device, variant).await.err());
    }
    let same = all.len() - wanted.len();
    json!({ "op": case.op.name(), "name": case.name, "variants": wanted, "same": same, "failures": failures }).to_string()
}
