//! Our side of the comparison with agent-hypervisor (Python).

fn main() -> std::io::Result<()> {
    hv_benches::serve(hv_benches::peer::WORKLOADS)
}
