use emberlab::check::{Options, check_file};
use emberlab::diagnostics::render::*;
use emberlab::source::disk::DiskWorld;
fn main() {
    let mut overrides = vec![];
    let mut dump = false;
    for path in std::env::args().skip(1) {
        if let Some((k, v)) = path.split_once('=') {
            overrides.push((k.to_string(), v.to_string()));
            continue;
        }
        if path == "--dump" {
            dump = true;
            continue;
        }
        let world = DiskWorld::new("");
        let t = std::time::Instant::now();
        let (checked, problems) = check_file(&world, &path, &Options { overrides: overrides.clone(), pedantic: true });
        println!("== {path}: {} items, {} problems, {:?}", checked.items.len(), problems.iter().count(), t.elapsed());
        if dump {
            for i in &checked.items {
                println!("{} {}", i.name, serde_json::to_string_pretty(&i.json).unwrap());
            }
        }
        print!("{}", render(Format::Human, &problems.sorted(), &checked.sources, Style::default()));
    }
}
