//! Examples of `hardway image`.

/// Examples of `image pull`.
pub const IMAGE_PULL: &str = "\
Examples:
  hardway image pull busybox                                 docker.io/library/busybox:latest, for this machine
  hardway image pull localhost:5000/lab/web:1 --name web -v  each request and its answer, with its headers
  hardway image pull quay.io/team/app@sha256:... --platform linux/arm64
  hardway image pull registry.lan:5000/app --plain-http registry.lan:5000 --mirror registry.lan:5000=http://cache:5000

What is broken off, by Ctrl-C or by the network, goes on where it stopped with the same command. A blob gets its
name in the store only when its digest is right.

Exit status: 0 the image is in the store; 1 it is not.";

/// Examples of `image push`.
pub const IMAGE_PUSH: &str = "\
Examples:
  hardway image push localhost:5000/lab/web:1                where its name says
  hardway image push web localhost:5000/lab/web:2 -v         under another name, each request told
  hardway image push web localhost:5000/new/web:1 --mount-from lab/web

Exit status: 0 the registry has it; 1 it has not.";

/// Examples of `image copy`.
pub const IMAGE_COPY: &str = "\
Examples:
  hardway image copy web docker://localhost:5000/lab/web:3
  hardway image copy docker://localhost:5000/lab/web:1 oci:./layout:web
  hardway image copy docker-archive:web.tar web
  hardway image copy docker://quay.io/team/app:1 docker://localhost:5000/team/app:1

Exit status: 0 it is copied; 1 it is not.";

/// Examples of `image ls`.
pub const IMAGE_LS: &str = "\
Examples:
  hardway image ls
  hardway image ls --store ./images --json";

/// Examples of `image inspect`.
pub const IMAGE_INSPECT: &str = "\
Examples:
  hardway image inspect web
  hardway image inspect web --platform linux/arm64 --json

Exit status: 0 every digest and diff_id was computed anew and is right; 1 not so.";

/// Examples of `image history`.
pub const IMAGE_HISTORY: &str = "\
Examples:
  hardway image history web          what each layer was made by, the lowest first";

/// Examples of `image pack`.
pub const IMAGE_PACK: &str = "\
Examples:
  hardway image pack web ./rootfs --cmd /bin/httpd                 one layer with all of it
  hardway image pack web:2 ./new --from web --lower ./rootfs       a second one with what differs from ./rootfs
  hardway image pack web:3 ./upper --from web --upper              with what an overlay has kept
  hardway image pack web:4 --from web --env LANG=C                 no layer; the config alone

The same tree gives the same bytes. SOURCE_DATE_EPOCH in the environment is the time that the image says it was made; 1970 without.

Exit status: 0 the name is this image's; 1 it is whose it was.";

/// Examples of `image index`.
pub const IMAGE_INDEX: &str = "\
Examples:
  hardway image pack web:arm ./arm --platform linux/arm64
  hardway image index web web:amd web:arm && hardway image push web registry.example/web

Exit status: 0 the name is this index's; 1 it is whose it was.";

/// Examples of `image unpack`.
pub const IMAGE_UNPACK: &str = "\
Examples:
  sudo hardway image unpack web /srv/web/rootfs      with the owners that the image says
  hardway image unpack web ./rootfs                  everything is yours, and what needs root is told

Exit status: 0 all of it is there; 1 nothing is.";

/// Examples of `image apply`.
pub const IMAGE_APPLY: &str = "\
Examples:
  hardway image apply web 1 ./rootfs && hardway image apply web 2 ./rootfs    the second on top of the first
  hardway image apply web 2 ./layer2 --overlay --lower ./layer1               to be mounted over ./layer1";

/// Examples of `image mount`.
pub const IMAGE_MOUNT: &str = "\
Examples:
  sudo hardway image mount web /mnt                                  to be read only
  sudo hardway image mount web /mnt --upper ./upper --work ./work    what is written goes to ./upper
  sudo umount /mnt

Exit status: 0 it is mounted; 1 it is not.";

/// Examples of `image rm`.
pub const IMAGE_RM: &str = "\
Examples:
  hardway image rm web && hardway image gc";

/// Examples of `image gc`.
pub const IMAGE_GC: &str = "\
Examples:
  hardway image gc           what no name reaches and nobody has touched for a day
  hardway image gc --now     what no name reaches

What is mounted of unpacked layers stays.";

/// Examples of `image keygen`.
pub const IMAGE_KEYGEN: &str = "\
Examples:
  hardway image keygen teacher             teacher.key, which nobody else may read, and teacher.pub, for everyone
  openssl pkey -in teacher.key -noout -text

Exit status: 0 both are written; 1 one was there already and stays as it is, or cannot be written.";

/// Examples of `image sign`.
pub const IMAGE_SIGN: &str = "\
Examples:
  hardway image keygen teacher
  hardway image sign registry.example/web:1 --key teacher.key
  hardway image push registry.example/web:1 && hardway image push registry.example/web:sha256-....sig

The signatures are laid out as cosign does, and kept under the name that is printed. A key made by openssl will do too:
ECDSA on P-256, in PKCS #8 and not encrypted.

Exit status: 0 it is signed; 1 it is not.";

/// Examples of `image verify`.
pub const IMAGE_VERIFY: &str = "\
Examples:
  hardway image verify                                             each blob is what its digest says
  hardway image verify registry.example/web:1 --key teacher.pub    who has this key has signed this image

Exit status: 0 it is so; 1 it is not, and what is wrong is told.";

/// Examples of `image save`.
pub const IMAGE_SAVE: &str = "\
Examples:
  hardway image save web -o web.tar                       for podman load, skopeo, docker load
  hardway image save web db --format docker -o both.tar

Exit status: 0 the file is whole; 1 there is none.";

/// Examples of `image load`.
pub const IMAGE_LOAD: &str = "\
Examples:
  hardway image load -i web.tar
  docker save web | hardway image load

Exit status: 0 its images are in the store, under the names that they have in the file; 1 none has a name.";
