"""Small Travis that reads a .travis.yml as Travis does, and runs its jobs in bash on this machine.

Source: https://github.com/travis-ci/travis-yml (which jobs there are), travis-build (what bash runs) and worker (when a
job is over). Differences: all jobs run on one machine and as one user; there is no pty, and no shallow clone; there are
no addons, caches, services, deployments and languages, and only ``travis_retry`` of the functions of travis-build.
"""
