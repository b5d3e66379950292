module multiarch-lab/binfmt

go 1.19
