//! What the tests need of the operating system: a browser with WebGPU, a Vulkan driver, and a C++ compiler for libFuzzer.

use super::{first_file, say};
use crate::process;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

const BROWSERS: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome.exe"];
const MAC_BROWSERS: [&str; 2] =
    ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium"];

/// A Chromium, and on Linux a Vulkan driver and a C++ compiler: installed where apt may, else an error with what to install.
pub fn ensure() -> Result<()> {
    let mut packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    if apt()
        && let Some(root) = as_root()
    {
        say(&format!("system packages: {}", packages.join(" ")));
        install(root, &packages)?;
        packages = missing();
    }
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if apt() {
        bail!("missing: {names}. Install with `sudo apt-get install {names}`");
    }
    bail!(
        "missing: {names} (Debian's names). Install Chromium or Chrome, and on Linux the Vulkan loader \
         with a driver (Mesa's lavapipe will do) and a C++ compiler; CHROMIUM=PATH names a browser that is elsewhere"
    );
}

/// Debian's names of what is not there.
fn missing() -> Vec<&'static str> {
    let mut packages = Vec::new();
    if chromium().is_none() {
        packages.push("chromium");
    }
    if cfg!(target_os = "linux") {
        if !vulkan_loader() {
            packages.push("libvulkan1");
        }
        if !hardware_gpu() && lavapipe().is_none() {
            packages.push("mesa-vulkan-drivers");
        }
        if std::env::var_os("CXX").is_none() && process::find_program(&["c++"]).is_none() {
            packages.push("g++");
        }
    }
    packages
}

/// The browser for the tests: `CHROMIUM`, or a Chromium or Chrome that is installed.
pub fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let on_path = || process::find_program(&BROWSERS);
    let on_mac = || first_file(MAC_BROWSERS.map(PathBuf::from));
    named.filter(|file| file.is_file()).or_else(on_path).or_else(on_mac)
}

/// Whether the kernel shows a GPU; elsewhere than on Linux there always is one.
pub fn hardware_gpu() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    let render_node = entries("/dev/dri").iter().any(|path| file_name(path).starts_with("renderD"));
    render_node || Path::new("/dev/nvidiactl").exists()
}

/// The driver file of Mesa's software Vulkan.
pub fn lavapipe() -> Option<PathBuf> {
    let folders = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    folders.iter().flat_map(|folder| entries(folder)).find(|path| is_lavapipe(&file_name(path), std::env::consts::ARCH))
}

/// `lvp_icd.x86_64.json`, or `lvp_icd.json` as some distributions name it.
fn is_lavapipe(name: &str, arch: &str) -> bool {
    name == "lvp_icd.json" || name == format!("lvp_icd.{arch}.json")
}

fn vulkan_loader() -> bool {
    let arch = std::env::consts::ARCH;
    let folders = [format!("/usr/lib/{arch}-linux-gnu"), "/usr/lib64".to_owned(), "/usr/lib".to_owned(), "/usr/local/lib".to_owned()];
    let file = |folder: &String| Path::new(folder).join("libvulkan.so.1").exists();
    folders.iter().any(file)
}

fn entries(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether this is a system of Debian's kind.
pub fn apt() -> bool {
    Path::new("/usr/bin/apt-get").exists() && Path::new("/etc/debian_version").exists()
}

/// The words before a command that needs root; none when this is root, `None` when it cannot be had
/// without asking.
fn as_root() -> Option<&'static [&'static str]> {
    if process::output(Command::new("id").arg("-u"))? == "0" {
        return Some(&[]);
    }
    let sudo = Command::new("sudo").args(["-n", "true"]).output().ok()?;
    sudo.status.success().then_some(&["sudo", "-n"])
}

fn install(root: &[&str], packages: &[&str]) -> Result<()> {
    let apt = |arguments: &[&str]| {
        let words = [root, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"], arguments];
        let words = words.concat();
        process::run(Command::new(words[0]).args(&words[1..]))
    };
    // a stale list of one source does not matter as long as the packages are found
    let _ = apt(&["update"]);
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)
}

#[cfg(test)]
mod tests {
    #[test]
    fn driver_file_names() {
        assert!(super::is_lavapipe("lvp_icd.x86_64.json", "x86_64"));
        assert!(super::is_lavapipe("lvp_icd.json", "aarch64"));
        assert!(!super::is_lavapipe("lvp_icd.i686.json", "x86_64"));
        assert!(!super::is_lavapipe("intel_icd.x86_64.json", "x86_64"));
    }
}
