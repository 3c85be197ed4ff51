use emberlab::{check, source::disk::DiskWorld};
fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let json = args.iter().position(|a| a == "--json").map(|i| args.remove(i)).is_some();
    let pedantic = args.iter().position(|a| a == "--pedantic").map(|i| args.remove(i)).is_some();
    let mut overrides = Vec::new();
    while let Some(i) = args.iter().position(|a| a == "--set") { args.remove(i); let kv = args.remove(i); let (k,v)=kv.split_once('=').unwrap(); overrides.push((k.to_string(), v.to_string())); }
    for f in &args {
        let t = std::time::Instant::now();
        let (checked, problems) = check::check_file(&DiskWorld::new(""), f, &check::Options { overrides: overrides.clone(), pedantic });
        let dt = t.elapsed();
        for p in problems.sorted() {
            let s = p.span(); let pl = checked.sources.place(s);
            let path = checked.sources.get(s.file).map(|f| f.path.to_string()).unwrap_or_default();
            println!("{path}:{}:{}: {} {} | {}", pl.line, pl.column, p.code, p.message, p.labels[0].text);
            for l in &p.labels[1..] { let pl = checked.sources.place(l.span); println!("      also {}:{}:{} {}", checked.sources.get(l.span.file).map(|f| f.path.to_string()).unwrap_or_default(), pl.line, pl.column, l.text); }
            for n in &p.notes { println!("      note {n}"); }
            if let Some(h) = &p.help { println!("      help {h}"); }
            for x in &p.fixes { println!("      fix {} -> {:?}", x.title, x.edits[0].new_text); }
        }
        println!("{f}: {} problems, {} items, {:?}", problems.len(), checked.items.len(), dt);
        if json { for i in &checked.items { println!("{} {} {}", i.kind.keyword(), i.name, serde_json::to_string(&i.json).unwrap()); }
          for e in checked.expects.iter().chain(&checked.claims) { println!("cond {} {}", e.text, serde_json::to_string(&e.condition).unwrap()); }
          for s in &checked.sweeps { println!("sweep {} {:?} {}", s.name, s.axes.iter().map(|a| (&a.path, &a.values)).collect::<Vec<_>>(), s.json); } }
    }
}
