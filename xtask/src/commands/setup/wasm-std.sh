#!/usr/bin/env bash
# Builds the standard library for wasm32-unknown-unknown from Debian's package rust-src of exactly the
# version of rustc, and puts it into rustc's own library folder. For machines where rustup cannot.
set -euo pipefail
target=wasm32-unknown-unknown
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
die() { echo "wasm-std: $*" >&2; exit 1; }

version=$(rustc --version | awk '{print $2}')
case $version in *-*) die "$version is no release, so no source package of it exists" ;; esac
sysroot=$(rustc --print sysroot)
source=$sysroot/lib/rustlib/src/rust
library=$sysroot/lib/rustlib/$target/lib
# never over a library that is there
if compgen -G "$library/libstd-*.rlib" > /dev/null; then exit 0; fi

# An apt configuration of our own over several suites; the system's is left alone.
apt_setup() {
  local uri
  uri=$(awk '$1=="URIs:"{u=$2} $1=="Suites:" && $0 !~ /security/ {print u; exit}' \
        /etc/apt/sources.list.d/*.sources 2>/dev/null || true)
  [ -n "$uri" ] || uri=$(awk '$1=="deb"{for(i=2;i<=NF;i++) if($i ~ /^http/){print $i; exit}}' \
        /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true)
  [ -n "$uri" ] || die "no apt source to derive from"
  mkdir -p "$work/sources" "$work/lists/partial" "$work/cache/archives/partial"
  printf 'Types: deb\nURIs: %s\nSuites: trixie trixie-updates trixie-backports sid\nComponents: main\nSigned-By: %s\n' \
    "$uri" /usr/share/keyrings/debian-archive-keyring.gpg > "$work/sources/x.sources"
  options=(-q -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/sources"
    -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update >&2
}

if [ ! -f "$source/library/Cargo.lock" ]; then
  apt_setup
  package=$(apt-cache "${options[@]}" madison rust-src |
    awk -F'|' -v v="$version" '{gsub(/ /,"",$2)} index($2, v "+")==1 {print $2; exit}')
  [ -n "$package" ] || die "Debian has no rust-src of version $version"
  (cd "$work" && apt-get "${options[@]}" download "rust-src=$package" >&2 && dpkg -x rust-src_*.deb .)
  [ -f "$work/usr/src/rustc-$version/library/Cargo.lock" ] || die "rust-src $package holds no library"
  mkdir -p "$source"
  cp -r "$work/usr/src/rustc-$version/library" "$source/library"
fi

mkdir -p "$work/std/src"
: > "$work/std/src/lib.rs"
printf '[package]\nname = "stdcrate"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n' > "$work/std/Cargo.toml"
# a stable compiler builds its own library only with RUSTC_BOOTSTRAP
(cd "$work/std" && env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u CARGO_BUILD_TARGET -u RUSTC_WRAPPER \
  RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$work/target" \
  cargo build --release -Zbuild-std=std,panic_abort,proc_macro,test --target "$target" >&2)
mkdir -p "$library"
cp "$work/target/$target/release/deps"/lib*.rlib "$library/"
rm -f "$library"/libstdcrate-*
