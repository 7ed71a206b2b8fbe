//! The log, measured: `cargo xtask bench log` asks it.

#[global_allocator]
static HELD: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

fn main() -> std::io::Result<()> {
    hv_benches::log::HELD.get_or_init(|| || HELD.current_usage());
    hv_benches::serve(hv_benches::log::WORKLOADS)
}
