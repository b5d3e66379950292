"""A file of bake in HCL, what buildx v0.36.1 prints of it, and the settings that it becomes."""

HCL = """\
variable "TAG" {
  default = "1.4.2"
}
variable "REGISTRY" { default = "docker.io/someone" }
function "references" {
  params = [name]
  result = ["${REGISTRY}/${name}:${TAG}", "${REGISTRY}/${name}:latest"]
}
group "default" {
  targets = ["app", "worker"]
}
target "_common" {
  platforms = ["linux/amd64", "linux/arm64"]
  args = {
    CHANNEL = "on"
    TOKEN   = null
  }
}
target "base" {
  context = "base"
}
target "app" {
  inherits    = ["_common"]
  context     = "app"
  contexts    = { base = "target:base" }
  tags        = references("app")
  secret      = ["id=token,env=TOKEN"]
  attest      = ["type=provenance,mode=max", "type=sbom"]
  annotations = ["index:a=b"]
}
target "worker" {
  inherits = ["_common"]
  name     = "worker-${replace(version, ".", "-")}"
  matrix = {
    version = ["1.26", "1.27"]
  }
  context = "worker"
  args    = { VERSION = version }
  tags    = ["${REGISTRY}/worker:${version}"]
  output  = ["type=registry"]
}
"""

PRINTED = """\
{
 "group": {"default": {"targets": ["app", "worker"]}, "worker": {"targets": ["worker-1-26", "worker-1-27"]}},
 "target": {
  "app": {
   "annotations": ["index:a=b"],
   "attest": [{"mode": "max", "type": "provenance"}, {"type": "sbom"}],
   "context": "app",
   "contexts": {"base": "target:base"},
   "dockerfile": "Dockerfile",
   "args": {"CHANNEL": "on"},
   "tags": ["docker.io/someone/app:1.4.2", "docker.io/someone/app:latest"],
   "secret": [{"id": "token", "env": "TOKEN"}],
   "platforms": ["linux/amd64", "linux/arm64"]
  },
  "base": {
   "context": "base",
   "dockerfile": "Dockerfile",
   "output": [{"type": "cacheonly"}]
  },
  "worker-1-26": {
   "context": "worker",
   "dockerfile": "Dockerfile",
   "args": {"CHANNEL": "on", "VERSION": "1.26"},
   "tags": ["docker.io/someone/worker:1.26"],
   "platforms": ["linux/amd64", "linux/arm64"],
   "output": [{"type": "registry"}]
  },
  "worker-1-27": {
   "context": "worker",
   "dockerfile": "Dockerfile",
   "args": {"CHANNEL": "on", "VERSION": "1.27"},
   "tags": ["docker.io/someone/worker:1.27"],
   "platforms": ["linux/amd64", "linux/arm64"],
   "output": [{"type": "registry"}]
  }
 }
}
"""

HCL_SETTINGS = """\
multiarch:
  targets:
    base:
      tags: []
      platforms: [linux/amd64, linux/arm64]
      context: base
    app:
      image: docker.io/someone/app
      tags: ["1.4.2", latest]
      platforms: [linux/amd64, linux/arm64]
      context: app
      contexts:
        base: target:base
      build_args:
        CHANNEL: "on"
      secrets:
        token: env:TOKEN
      attestations:
        - provenance: "mode=max"
        - sbom
    worker-1-26:
      image: docker.io/someone/worker
      tags: ["1.26"]
      platforms: [linux/amd64, linux/arm64]
      context: worker
      build_args:
        CHANNEL: "on"
        VERSION: "1.26"
    worker-1-27:
      image: docker.io/someone/worker
      tags: ["1.27"]
      platforms: [linux/amd64, linux/arm64]
      context: worker
      build_args:
        CHANNEL: "on"
        VERSION: "1.27"
  groups:
    default: [app, worker-1-26, worker-1-27]
"""
