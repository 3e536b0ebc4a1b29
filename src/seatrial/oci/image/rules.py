"""What can be wrong with an image: the rules of the image specification, each with its section and level.

Sections are those of the OCI Image Format Specification 1.1. A rule without a level is none of the specification: it
keeps who reads images from others safe, or says what was found.
"""

from __future__ import annotations

from typing import ClassVar

from seatrial import diagnostics
from seatrial.diagnostics import Catalogue, Rule, Severity

_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE
MUST, SHOULD, DOC, SAFE = "MUST", "SHOULD", "DOC", "safety"

_LAYOUT = "image-layout.md"
_BLOBS = "image-layout.md#blobs"
_DESCRIPTOR = "descriptor.md#properties"
_DIGESTS = "descriptor.md#digests"
_INDEX = "image-index.md#image-index-property-descriptions"
_MANIFEST = "manifest.md#image-manifest-property-descriptions"
_EMPTY = "manifest.md#guidance-for-an-empty-descriptor"
_ARTIFACT = "manifest.md#guidelines-for-artifact-usage"
_CONFIG = "config.md#properties"
_DIFFID = "config.md#layer-diffid"
_LAYER = "layer.md#distributable-format"
_TYPES = "layer.md#file-types"
_WHITEOUT = "layer.md#whiteouts"
_ANNOTATION = "annotations.md#rules"
_KEYS = "annotations.md#pre-defined-annotation-keys"
_CONFLICT = "media-types.md#media-type-conflicts"
_REFERRERS = "distribution-spec spec.md#listing-referrers"
_PULL = "distribution-spec spec.md#pulling-manifests"
_SAVED = "Docker image specification 1.2, combined image JSON and file system changesets"
_COSIGN = "cosign signature specification"
_SIMPLE = "containers-signature(5)"

# 00x reading, 01x layouts, 02x and 03x descriptors, 04x indexes, 05x and 06x manifests, 07x and 08x configurations,
# 09x archives of `docker save`, 10x to 12x layers, 13x registries, 15x signatures. One meaning each, for ever.
CATALOGUE = Catalogue.of("OCI", "seatrial oci", (
    Rule("OCI000", _N, "what was looked at",
         "Each image that was found, with its platform, layers and size, so that a report without errors shows what "
         "it speaks of."),
    Rule("OCI001", _E, "what is named cannot be read",
         "The file or directory is missing, is not readable for this user, or its engine or registry does not give "
         "it."),
    Rule("OCI002", _E, "what is named is no image",
         "A directory is an image layout when it has oci-layout or index.json; an archive is one of them packed, or "
         "what `docker save` writes, which has a manifest.json."),
    Rule("OCI003", _E, "the archive is cut off or damaged",
         "Its tar headers or its compression do not hold together; nothing behind that place can be trusted."),
    Rule("OCI004", _E, "an entry of the archive is not usable",
         "Absolute names, .. and special files do not belong into a layout. Nothing is unpacked here; other tools "
         "might write where the entry says.", "image-layout.md#content", SAFE),
    Rule("OCI005", _E, "a limit is reached",
         "Sizes, numbers and depths are bounded, because an image can be made to unpack to anything. What lies behind "
         "the limit was not checked; --max-unpacked raises the one for layers.", "considerations", SAFE),
    Rule("OCI006", _E, "a document is not valid JSON",
         "Indexes, manifests and configurations are JSON objects in UTF-8, as RFC 8259 defines them.",
         "spec.md#overview", MUST),
    Rule("OCI007", _E, "a key stands twice in one object",
         "Readers keep the first or the last one, so that two engines see two images under one digest.",
         "considerations.md#json", SAFE),
    Rule("OCI008", _E, "a value is of the wrong type",
         "The specification gives the type of each property; readers in typed languages refuse the document.",
         "schema", MUST),

    Rule("OCI010", _E, "there is no oci-layout file", "It marks the directory as a layout.", f"{_LAYOUT}#content",
         MUST),
    Rule("OCI011", _E, "oci-layout has no imageLayoutVersion",
         "It is a JSON object with that field.", f"{_LAYOUT}#oci-layout-file", MUST),
    Rule("OCI012", _E, "the version of the layout is unknown",
         "This version of the specification is 1.0.0.", f"{_LAYOUT}#oci-layout-file", MUST),
    Rule("OCI013", _E, "there is no index.json", "It is where everything in the layout is found from.",
         f"{_LAYOUT}#indexjson-file", MUST),
    Rule("OCI014", _E, "there is no directory blobs", "It has to be there, even empty.", f"{_LAYOUT}#content", MUST),
    Rule("OCI015", _E, "a blob is not what its name says",
         "The content of blobs/ALGORITHM/ENCODED has the digest ALGORITHM:ENCODED.", _BLOBS, MUST),
    Rule("OCI016", _E, "a blob has a name that is no digest",
         "The names below blobs/ follow the grammar of digests.", _BLOBS, MUST),
    Rule("OCI017", _E, "a blob is not there",
         "A layout may lack blobs that another store has. Without them the image can neither be checked nor used.",
         _BLOBS, SHOULD),
    Rule("OCI018", _E, "a blob cannot be read, or is a link or a special file",
         "Reading links would lead out of the layout; a registry may break off.", _BLOBS, SAFE),

    Rule("OCI020", _E, "a descriptor lacks a property", "mediaType, digest and size are required.", _DESCRIPTOR, MUST),
    Rule("OCI021", _E, "a media type is not of the form that RFC 6838 gives",
         "Type, slash, subtype, of at most 127 characters each, begun with a letter or digit.", _DESCRIPTOR, MUST),
    Rule("OCI022", _E, "a digest does not follow the grammar",
         "ALGORITHM:ENCODED, where ALGORITHM is of lower case letters and digits.", _DIGESTS, MUST),
    Rule("OCI023", _E, "a digest of a registered algorithm has the wrong length or case",
         "sha256 has 64 hexadecimal digits, sha512 has 128, blake3 has 64, all in lower case.",
         "descriptor.md#registered-algorithms", MUST),
    Rule("OCI024", _W, "the algorithm of a digest is not known here",
         "The grammar allows others than the registered ones, so this is no error; what it names cannot be checked.",
         _DIGESTS, SHOULD),
    Rule("OCI025", _E, "a size is negative or no whole number of 64 bits", "It is that of the raw content in bytes.",
         _DESCRIPTOR, MUST),
    Rule("OCI026", _E, "content is not of the size that its descriptor says",
         "Such content is not to be trusted.", _DESCRIPTOR, SHOULD),
    Rule("OCI027", _E, "content does not have the digest that its descriptor says",
         "It was changed or damaged, or the descriptor was.", "descriptor.md#verification", SHOULD),
    Rule("OCI028", _E, "an entry of urls is no URI", "Each follows RFC 3986.", _DESCRIPTOR, MUST),
    Rule("OCI029", _W, "an entry of urls is neither http nor https", "Other schemes are not fetched by most tools.",
         _DESCRIPTOR, SHOULD),
    Rule("OCI030", _E, "annotations are not a map from text to text", "Both keys and values are strings.",
         _ANNOTATION, MUST),
    Rule("OCI031", _E, "data is not base64", "It is the content itself, in Base 64 of RFC 4648.", _DESCRIPTOR, MUST),
    Rule("OCI032", _E, "data is not the content",
         "The decoded data has the digest and the size of the descriptor.", _DESCRIPTOR, MUST),
    Rule("OCI033", _E, "an artifactType is not of the form that RFC 6838 gives", "It is a media type.", _DESCRIPTOR,
         MUST),
    Rule("OCI034", _E, "a platform lacks os or architecture", "Both are required where a platform stands.", _INDEX,
         MUST),
    Rule("OCI035", _W, "an os or an architecture is not one that Go names",
         "Values are those of GOOS and GOARCH: linux, amd64, arm64 and so on; aarch64 and x86_64 are not.", _INDEX,
         SHOULD),
    Rule("OCI036", _W, "a variant is not in the table of variants",
         "arm has v6, v7, v8; arm64 has v8 and v9 with minor numbers, amd64 has v1 to v4.",
         "image-index.md#platform-variants", SHOULD),
    Rule("OCI037", _W, "a reserved property is used", "platform.features is reserved.", _INDEX, SHOULD),
    Rule("OCI038", _W, "an annotation key is reserved and not defined",
         "Keys below org.opencontainers are those of OCI's specifications.", _ANNOTATION, MUST),
    Rule("OCI039", _W, "an annotation has a value of another form than defined",
         "created is a time as RFC 3339 writes it, url and its like are URIs, ref.name is of A-Za-z0-9 and -._:@/+.",
         _KEYS, SHOULD),

    Rule("OCI040", _E, "the schemaVersion of an index is not 2", "It is required, and 2.", _INDEX, MUST),
    Rule("OCI041", _E, "the mediaType of an index is another one", "When used, it is that of an index.", _INDEX, MUST),
    Rule("OCI042", _W, "an index does not say its mediaType",
         "With it, nobody can mistake the document for another kind.", _INDEX, SHOULD),
    Rule("OCI043", _E, "an index has no list of manifests", "The property is required; the list may be empty.",
         _INDEX, MUST),
    Rule("OCI044", _W, "an index has an entry of an unknown media type",
         "It is no error, and is not looked into; portable indexes have manifests and indexes only.", _INDEX, SHOULD),
    Rule("OCI045", _W, "there is no image in it", "The index is empty, so that there is nothing to check.", _INDEX,
         SHOULD),
    Rule("OCI046", _W, "a reference name stands elsewhere than in index.json",
         "org.opencontainers.image.ref.name is valid on the descriptors of index.json only.", _KEYS, SHOULD),
    Rule("OCI047", _W, "two images of an index have the same platform", "The first one is taken.", _INDEX, SHOULD),
    Rule("OCI048", _W, "two entries of index.json have the same reference name",
         "Tools take the first or the last one.", f"{_LAYOUT}#indexjson-file", SHOULD),

    Rule("OCI050", _E, "the schemaVersion of a manifest is not 2", "It is required, and 2.", _MANIFEST, MUST),
    Rule("OCI051", _E, "the mediaType of a manifest is another one", "When used, it is that of a manifest.",
         _MANIFEST, MUST),
    Rule("OCI052", _W, "a manifest does not say its mediaType",
         "With it, nobody can mistake the document for another kind.", _MANIFEST, SHOULD),
    Rule("OCI053", _E, "a manifest has no config", "It is required, and a descriptor.", _MANIFEST, MUST),
    Rule("OCI054", _E, "a manifest has no list of layers", "Each item is a descriptor.", _MANIFEST, MUST),
    Rule("OCI055", _W, "a manifest has no layers", "Portable manifests have one at least.", _MANIFEST, SHOULD),
    Rule("OCI056", _E, "an artifact of an empty config has no artifactType",
         "When config.mediaType is application/vnd.oci.empty.v1+json, artifactType says what it is.", _ARTIFACT, MUST),
    Rule("OCI057", _E, "an empty descriptor describes something",
         "application/vnd.oci.empty.v1+json is the content {}, of 2 bytes.", _EMPTY, MUST),
    Rule("OCI058", _W, "a layer of an image has an unknown media type",
         "It is no error to store or copy it, but engines cannot unpack it.", _MANIFEST, SHOULD),
    Rule("OCI059", _W, "a layer is of a deprecated, non-distributable type", "New ones are not to be produced.",
         "layer.md#non-distributable-layers", SHOULD),
    Rule("OCI060", _E, "a document can be read as a manifest and as an index",
         "It has layers or config and manifests: two readers see two images.", _CONFLICT, SAFE),
    Rule("OCI061", _W, "a document says another media type than its descriptor",
         "Readers that trust one of them see another document than readers that trust the other.", _CONFLICT, SHOULD),
    Rule("OCI062", _E, "a subject is no manifest", "It describes another manifest or index.", _MANIFEST, MUST),

    Rule("OCI070", _E, "a configuration lacks architecture or os", "Both are required.", _CONFIG, MUST),
    Rule("OCI071", _E, "a configuration has no rootfs", "It lists the layers.", _CONFIG, MUST),
    Rule("OCI072", _E, "the type of rootfs is not layers", "Whoever unpacks has to refuse another.", _CONFIG, MUST),
    Rule("OCI073", _E, "a rootfs has no list of diff ids", "It is required.", _CONFIG, MUST),
    Rule("OCI074", _E, "there are not as many diff ids as layers",
         "Each layer has its own, from the lowest on.", _DIFFID, MUST),
    Rule("OCI075", _E, "a layer does not have its diff id",
         "It is the digest of the layer's tar archive without compression.", _DIFFID, MUST),
    Rule("OCI076", _E, "a time is not of the form of RFC 3339", "Like 2026-01-31T12:00:00Z.", _CONFIG, MUST),
    Rule("OCI077", _W, "history and layers do not fit",
         "There are as many entries without empty_layer as there are layers.", _CONFIG, SHOULD),
    Rule("OCI078", _E, "an entry of Env is not of the form NAME=VALUE", "Each sets one variable.", _CONFIG, MUST),
    Rule("OCI079", _E, "an exposed port is not of the form PORT, PORT/tcp or PORT/udp",
         "The keys of ExposedPorts are ports.", _CONFIG, MUST),
    Rule("OCI080", _E, "a set has values", "ExposedPorts and Volumes are maps from names to empty objects.", _CONFIG,
         MUST),
    Rule("OCI081", _W, "the configuration says another platform than the index",
         "An engine chooses by the index and runs by the configuration.", _INDEX, SHOULD),
    Rule("OCI082", _W, "a property of Docker's is used that OCI reserves",
         "Memory, MemorySwap, CpuShares and Healthcheck are reserved.", _CONFIG, SHOULD),
    Rule("OCI083", _W, "the working directory is not absolute",
         "It is a directory in the container.", _CONFIG, SHOULD),

    Rule("OCI090", _E, "manifest.json is not a list of images",
         "Each has Config, RepoTags and Layers.", _SAVED, DOC),
    Rule("OCI091", _E, "a file that manifest.json names is not there", "Config and Layers are names in the archive.",
         _SAVED, DOC),
    Rule("OCI092", _E, "a configuration's name is not its digest", "The file is called by the image's id.", _SAVED,
         DOC),
    Rule("OCI093", _E, "an entry of RepoTags is no name of an image", "It is NAME:TAG.", _SAVED, DOC),
    Rule("OCI094", _E, "manifest.json and index.json speak of different images",
         "Engines read one or the other, and see different images in one archive.", _SAVED, SAFE),

    Rule("OCI100", _E, "the compression of a layer is not that of its media type",
         "+gzip is gzip, +zstd is zstd, and nothing is no compression.", "layer.md#gzip-media-types", MUST),
    Rule("OCI101", _E, "a layer is cut off or damaged in its compression",
         "Its checksum does not hold, or its end is missing, or something follows it.", _LAYER, MUST),
    Rule("OCI102", _E, "a layer is no tar archive, or a damaged one", "Layers are tar archives.", _LAYER, MUST),
    Rule("OCI103", _E, "an entry of a layer would be written outside of the root file system",
         "Its name is absolute in a way that leaves it, or has .. in it. Engines have written into their hosts for "
         "that.", "layer.md#applying-changesets", SAFE),
    Rule("OCI104", _E, "a hard link leads out of the root file system",
         "The target is a name in the same root file system.", "layer.md#hardlinks", SAFE),
    Rule("OCI105", _E, "a hard link has no target",
         "The target is a file that comes before it, or is in a lower layer.", "layer.md#hardlinks", MUST),
    Rule("OCI106", _E, "a path stands twice in a layer", "Readers take the first or the last one.", _LAYER, MUST),
    Rule("OCI107", _E, "a whiteout is not an empty regular file",
         "Engines that look at the name only remove something, others make a file.", _WHITEOUT, MUST),
    Rule("OCI108", _E, "a whiteout names nothing, or a parent directory",
         ".wh. without a name is invalid; .wh.. and .wh... would remove directories above.", _WHITEOUT, SHOULD),
    Rule("OCI109", _W, "a whiteout has nothing to remove",
         "It applies to lower layers, and none has this path; that forbids nothing, and is most often a mistake.",
         _WHITEOUT, DOC),
    Rule("OCI110", _W, "an entry has a name that aufs reserved",
         "Names that begin with .wh..wh. are those of a storage driver; only .wh..wh..opq is defined.", _WHITEOUT,
         SHOULD),
    Rule("OCI111", _E, "an entry is of a type that layers do not have",
         "They have regular files, directories, links, devices, sockets and pipes.", _TYPES, MUST),
    Rule("OCI112", _W, "an entry is a sparse file", "Implementations of tar differ in them.",
         "layer.md#file-attributes", SHOULD),
    Rule("OCI113", _E, "an entry lies below a file that is no directory",
         "This layer or a lower one makes its parent a file.", "layer.md#applying-changesets", SAFE),
    Rule("OCI114", _W, "an entry is written through a symbolic link of its layer or a lower one",
         "Whoever follows the link may leave the root file system.", "layer.md#applying-changesets", SAFE),
    Rule("OCI115", _W, "a layer has no end",
         "Two blocks of zeros end a tar archive; without them it may have been cut off.", _LAYER, MUST),
    Rule("OCI116", _W, "something follows the end of a layer",
         "Readers stop at the end, the digest goes on: it is a place to hide things.", _LAYER, SHOULD),
    Rule("OCI117", _E, "an attribute of an entry is out of range",
         "Owners and sizes are not negative, names are not longer than 4096 bytes.", "layer.md#file-attributes", MUST),
    Rule("OCI118", _W, "a name is not UTF-8", "Pax headers are; others depend on who reads.",
         "layer.md#file-attributes", SHOULD),
    Rule("OCI119", _W, "a hard link points into a lower layer",
         "Extracting it may fail where layers are unpacked one by one.", "layer.md#hardlinks", SHOULD),
    Rule("OCI120", _E, "a damaged pax header", "Records are LENGTH KEY=VALUE, each with its own length.", _LAYER,
         MUST),

    Rule("OCI130", _E, "the registry answers another digest than it was asked for",
         "Docker-Content-Digest is that of the content.", _PULL, MUST),
    Rule("OCI131", _W, "the registry answers another Content-Type than the manifest says",
         "It is what the manifest was pushed with.", _PULL, SHOULD),
    Rule("OCI132", _E, "the list of referrers is no index",
         "The answer of the referrers API is an image index.", _REFERRERS, MUST),
    Rule("OCI133", _E, "a referrer does not refer to the image",
         "The subject of each listed manifest is the digest that was asked for.", _REFERRERS, MUST),
    Rule("OCI134", _E, "a referrer is listed with another artifactType than it has",
         "It is that of the manifest, or the media type of its config.", _REFERRERS, MUST),

    Rule("OCI150", _E, "the image is not signed", "No signature of it was found where signatures are kept.", _COSIGN,
         DOC),
    Rule("OCI151", _E, "the image is signed, but not with this key",
         "A signature is there and was not made with the given key.", _COSIGN, DOC),
    Rule("OCI152", _E, "a signature does not fit: it or the image was tampered with",
         "What was signed is another image, or was changed after it had been signed.", _COSIGN, DOC),
    Rule("OCI153", _N, "the image is signed", "The signature holds; the key and what it claims are named.", _COSIGN,
         DOC),
    Rule("OCI154", _E, "a signature cannot be read", "It is not of the form that is defined.", _SIMPLE, DOC),
    Rule("OCI155", _E, "a signature is no longer good",
         "It or its key has expired, or the key was revoked; engines refuse the image.", _SIMPLE, DOC),
    Rule("OCI156", _E, "a signature is one of another name",
         "Its docker-reference is not what was asked for. Engines refuse simple signing then; cosign does not look, so "
         "that a signature of its that holds makes this a warning.", _SIMPLE, DOC),
))  # fmt: skip


class Report(diagnostics.Report):
    """All diagnostics of one image, layout or archive."""

    catalogue: ClassVar[Catalogue] = CATALOGUE

    def codes(self, *severities: Severity) -> set[str]:
        """Return which rules are broken: those of errors and warnings, or of the given severities."""
        wanted = severities or (Severity.ERROR, Severity.WARNING)
        return {one.code for one in self.diagnostics if one.severity in wanted}
