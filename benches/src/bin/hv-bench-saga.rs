//! Our side of the comparison with steno.

fn main() -> std::io::Result<()> {
    hv_benches::serve(hv_benches::saga::WORKLOADS)
}
