//! Our side of the comparison with the packages that the adapters stand for.

fn main() -> std::io::Result<()> {
    hv_benches::serve(hv_benches::adapters::WORKLOADS)
}
