"""A small Travis that runs on this machine: reads a .travis.yml as Travis does, and runs its jobs in bash.

Source: https://github.com/travis-ci/travis-yml (which jobs there are), travis-build (what bash runs) and worker (when a
job is over). What differs: all jobs run on one machine and as one user; no pty; a clone is never shallow; no addons,
caches, services, deployments and languages; of the functions of travis-build only ``travis_retry``.
"""
