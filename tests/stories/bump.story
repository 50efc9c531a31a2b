# bump writes the next version and its tag into config.toml, and changes nothing else.
$ example dataset_cleanup

$ reconciler bump minor dataset_cleanup
dataset_cleanup/config.toml  version 1.0.0 -> 1.1.0, image_tag latest

$ reconciler bump rc dataset_cleanup
dataset_cleanup/config.toml  version 1.1.0 -> 1.1.1-rc, image_tag test

$ show dataset_cleanup/config.toml '^version|^image_tag'
version = "1.1.1-rc"
image_tag = "test"

$ reconciler bump rc dataset_cleanup
dataset_cleanup/config.toml  version 1.1.1-rc -> 1.1.1-rc.2, image_tag test

$ reconciler bump final dataset_cleanup
dataset_cleanup/config.toml  version 1.1.1-rc.2 -> 1.1.1, image_tag latest

$ show dataset_cleanup/config.toml '^version|^image_tag'
version = "1.1.1"
image_tag = "latest"

# Only a release candidate can become final.
$ reconciler bump final dataset_cleanup
| error: 1.1.1 is already final
|   at dataset_cleanup/config.toml:3
|   bump final needs a release candidate, such as 1.0.1-rc. Use patch, minor, major or rc.
[1]

$ reconciler bump huge dataset_cleanup
| Usage: reconciler bump [OPTIONS] KIND [PIPELINE]...
| Try 'reconciler bump --help' for help.
| Error: Invalid value for 'KIND': 'huge' is not one of 'patch', 'minor', 'major', 'rc', 'final'.
[2]

# bump works offline: the version is published by the next apply.
$ writes
none

$ edit dataset_cleanup/config.toml 'version = "1.1.1"' 'version = "v2"'

$ reconciler bump patch dataset_cleanup
| error: metadata.version cannot be read
|   at dataset_cleanup/config.toml:3
|   'v2' is not a version: write X.Y.Z, for example 1.0.0, or 1.0.0-rc.
[1]
