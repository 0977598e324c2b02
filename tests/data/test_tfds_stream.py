"""Prepared datasets of TensorFlow Datasets that are not held in memory; together, for TensorFlow takes seconds to
import."""

import io
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ssljax import experiment
from ssljax.config import base
from ssljax.data import blocks, decode, decoders, encoded, example, folder, kinds, native, shard_index, sources
from ssljax.data import feed as feeds
from ssljax.data.archive import Changed
from ssljax.data.shards import ARRAY_RECORD, TFRECORD
from ssljax.data.split import Split, concat
from ssljax.storage import files

tf = pytest.importorskip('tensorflow')
tfds = pytest.importorskip('tensorflow_datasets')
COUNT, SHARDS = 150, 4


def smooth(seed, height, width, channels=3):
    """A picture with more in it than noise, uint8 [height, width, channels]."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 5, channels), np.uint8)
    bands = [Image.fromarray(small[..., c]).resize((width, height), Image.Resampling.BICUBIC) for c in range(channels)]
    return np.stack([np.asarray(band) for band in bands], -1)


def file_of(seed):
    """The bytes of an image file: JPEGs and PNGs of many sizes, and one of ten in another way."""
    height, width = np.random.default_rng(seed).integers(20, 150, 2)
    image, out = Image.fromarray(smooth(seed, height, width)), io.BytesIO()
    if seed % 10 == 3:
        image = image.convert('L')
    options = {'format': 'PNG' if seed % 5 == 1 else 'JPEG', 'quality': 95}
    if seed == 17:
        options |= {'exif': Image.Exif()}
        options['exif'][0x0112] = 6  # to be turned
    if seed == 41:
        image, options = image.convert('P'), {'format': 'PNG'}
    image.save(out, **options)
    return out.getvalue()


class Shots(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version('1.0.0')

    def _info(self):
        features = dict(image=tfds.features.Image(), label=tfds.features.ClassLabel(names=['cat', 'cow', 'dog']))
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {'train': self._examples(0, COUNT), 'test': self._examples(500, 30)}

    def _generate_examples(self):
        raise NotImplementedError

    def _examples(self, first, count):
        for i in range(first, first + count):
            yield i, {'image': io.BytesIO(file_of(i)), 'label': i % 3}


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
    """{format: a folder with Shots, in four shards}."""
    places = {}
    for kind in (TFRECORD, ARRAY_RECORD):
        places[kind] = tmp_path_factory.mktemp(kind)
        how = tfds.download.DownloadConfig(num_shards=SHARDS)
        Shots(data_dir=places[kind]).download_and_prepare(download_config=how, file_format=kind)
        load(places[kind])  # makes the indexes
    return places


def load(place, **fields):
    config = base().data
    config.update(dict(source='tfds:shots', data_dir=str(place), image_size=16, channels=3, path='stream') | fields)
    return sources.load(config)


@pytest.fixture
def train(prepared):
    return load(prepared[TFRECORD]).train


@pytest.fixture
def small(monkeypatch):
    """Blocks, windows and reads so small that a set of a few hundred images has several."""
    for module, fields in ((blocks, dict(BLOCK=20_000, WINDOW=100_000, LANES=4)), (native, dict(READ=10_000))):
        for name, value in fields.items():
            monkeypatch.setattr(module, name, value)


def feed(split, mesh, batch_size=8, seed=0):
    return feeds.make_feed(split, batch_size=batch_size, seed=seed, mesh=mesh, path='stream')


def batches(made, start, stop, k=1):
    """[(images, places)] of steps, of one process."""
    out = []
    for item in made.items(start, stop, k):
        out += list(zip(item['image'], item['index']))
    return out


def apart(a, b):
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def test_an_image_is_the_one_that_tensorflow_datasets_has(prepared):
    """By its name, in both formats; and with its label."""
    for kind, place in prepared.items():
        split = load(place, range='full').train
        builder = tfds.builder('shots', data_dir=place)
        names = split.names()
        assert len(split) == COUNT and names[7] == 'shots/1.0.0 train[7]' and len(set(names)) == COUNT
        ends = np.cumsum(builder.info.splits['train'].shard_lengths)
        assert len(ends) == SHARDS
        for i in (0, int(ends[0]) - 1, int(ends[0]), 77, COUNT - 1):
            if kind == TFRECORD:
                config = tfds.ReadConfig(add_tfds_id=True)
                skip = {'image': tfds.decode.SkipDecoding()}
                (row,) = builder.as_dataset(split=f'train[{i}:{i + 1}]', read_config=config, decoders=skip)
                data, label = row['image'].numpy(), int(row['label'])
                shard = int(np.searchsorted(ends, i, 'right'))
                number = i - int(ends[shard - 1] if shard else 0)
                assert row['tfds_id'].numpy().decode() == f'shots-train.tfrecord-{shard:05}-of-{SHARDS:05}__{number}'
            else:
                row = builder.as_data_source('train', decoders={'image': tfds.decode.SkipDecoding()})[i]
                data, label = row['image'], int(row['label'])
            assert next(split.images.encoded(split.rows[[i]])) == data and split.labels[i] == label


def test_both_formats_and_both_ways_in_give_the_same_labels_and_pixels(prepared, mesh):
    one, two = (load(prepared[kind]).train for kind in (TFRECORD, ARRAY_RECORD))
    assert sorted(zip(one.labels, (i.tobytes() for i in one.read(np.arange(COUNT))))) == sorted(
        zip(two.labels, (i.tobytes() for i in two.read(np.arange(COUNT))))
    )
    assert native.of(one) and native.of(two) is None
    held = load(prepared[TFRECORD]).train
    held.images.decode_all()
    assert native.of(held) is None and np.array_equal(held.read([3, 80]), one.read([3, 80]))


@pytest.mark.parametrize(
    'fields',
    [
        dict(),
        dict(resize='pad'),
        dict(resize='squash'),
        dict(image_size=64),
        dict(image_size=7),
    ],
)
def test_pixels_are_those_of_other_sources(prepared, mesh, fields):
    """To within a level: what is resized in one pass here has a rounding between two passes there."""
    split = load(prepared[TFRECORD], **{'image_size': 16} | fields).train
    made = feed(split, mesh, 10)
    seen = set()
    for images, places in batches(made, 0, 15, 4):
        assert images.shape == (10, *split.shape) and images.dtype == np.uint8
        assert apart(images, split.read(places)) <= 1
        seen |= set(places.tolist())
    assert len(seen) == COUNT


def test_images_of_one_size_are_taken_as_stored(tmp_path, mesh):
    """With gray ones among them, which become RGB; lossless."""

    class Stamps(Shots):
        def _split_generators(self, dl_manager):
            return {'train': self._examples(0, 40), 'test': self._examples(50, 9)}

        def _examples(self, first, count):
            for i in range(first, first + count):
                out = io.BytesIO()
                picture = smooth(i, 9, 8)
                Image.fromarray(picture if i % 4 else picture[..., 0]).save(out, 'PNG')
                yield i, {'image': io.BytesIO(out.getvalue()), 'label': i % 3}

    Stamps(data_dir=tmp_path).download_and_prepare(file_format=TFRECORD)
    config = base().data
    config.update(source='tfds:stamps', data_dir=str(tmp_path), channels=3, path='stream')
    split = sources.load(config).train
    assert native.of(split) and split.shape == (9, 8, 3)
    for images, places in batches(feed(split, mesh), 0, 5):
        assert np.array_equal(images, split.read(places))


@pytest.mark.parametrize(('place', 'fraction'), [(0, 8), (1, 4), (2, 2), (3, 1)])
def test_cropping_before_decoding_is_decoding_and_cropping(place, fraction):
    from ssljax.data import tf_decode

    for seed, quality in ((1, 60), (2, 95)):
        out = io.BytesIO()
        Image.fromarray(smooth(seed, 211, 163)).save(out, 'JPEG', quality=quality)
        whole = tf.io.decode_jpeg(out.getvalue(), 3, ratio=fraction, dct_method='INTEGER_ACCURATE').numpy()
        assert whole.shape == (-(-211 // fraction), -(-163 // fraction), 3)
        top, left, height, width = 5, 3, whole.shape[0] - 8, whole.shape[1] - 7
        found = tf_decode.crop_and_decode(out.getvalue(), [top, left, height, width], tf.constant(place), 3).numpy()
        assert np.array_equal(found, whole[top : top + height, left : left + width])


def test_an_epoch_has_every_image_once(train, mesh, small, monkeypatch):
    """Also where a long run has several pipelines, one after the other."""
    monkeypatch.setattr(native, 'CHUNK', 150)
    made = feed(train, mesh)
    assert made._order.window < COUNT // 8 // 2, 'an epoch has several windows'
    places = np.concatenate([places for _, places in batches(made, 0, 60, 7)])
    epochs = [places[i * COUNT : (i + 1) * COUNT] for i in range(3)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()
    other = np.concatenate([places for _, places in batches(feed(train, mesh, seed=1), 0, 18, 7)])
    assert other.tolist() != places[: len(other)].tolist()
    again = np.concatenate([places for _, places in batches(feed(train, mesh), 0, 18, 7)])
    assert again.tolist() == places[: len(again)].tolist()


def test_a_resumed_stream_continues_and_reads_nothing_before(train, mesh, small, monkeypatch):
    whole = batches(feed(train, mesh), 0, 45)
    read, plan = [], native.plan
    monkeypatch.setattr(native, 'plan', lambda table, number, skip: read.append(number) or plan(table, number, skip))
    for start, k in ((1, 1), (7, 4), (19, 2), (30, 3)):
        read.clear()
        found = batches(feed(train, mesh), start, 45, k)
        assert len(found) == 45 - start and sum(map(len, read)) == (45 - start) * 8
        for (images, places), (expected, of) in zip(found, whole[start:]):
            assert np.array_equal(places, of) and np.array_equal(images, expected)


@pytest.mark.parametrize('count', [2, 4])
def test_processes_see_the_same_batches_and_read_their_share(train, mesh, small, monkeypatch, count):
    whole, read, plan = batches(feed(train, mesh), 3, 30), [], native.plan

    def noted(table, number, skip):
        found = plan(table, number, skip)
        read.append(int(found.counts.sum()))
        return found

    monkeypatch.setattr(native, 'plan', noted)
    parts = []
    for process in range(count):
        share = np.arange(8 // count) + process * 8 // count
        monkeypatch.setattr(feeds, 'local_places', lambda mesh, size: share)  # noqa: B023
        parts.append(batches(feed(train, mesh), 3, 30))
    for step, (images, places) in enumerate(whole):
        assert np.array_equal(np.concatenate([part[step][1] for part in parts]), places)
        assert np.array_equal(np.concatenate([part[step][0] for part in parts]), images)
    assert sum(read) < 2 * 27 * 8, 'of what all read together, less than half is read by two'


def test_blocks_go_to_one_process():
    """At the sizes of ImageNet: what is read twice, because a block lies on a boundary of lanes, is little."""
    n, batch, size = 300_000, 256, 110_000
    shard = np.arange(n) // 1251
    order = blocks.Blocks(shard, np.arange(n), size, batch, 0)
    first = order.steps(0, order.window)
    for count in (2, 4, 8):
        of_block = [set((part.ravel() // 9).tolist()) for part in np.split(first, count, 1)]
        shared = sum(map(len, of_block)) / len(set().union(*of_block)) - 1
        assert shared < 0.1
    # A batch has images from all over the set, and a window a few hundred runs of it.
    assert len(np.unique(first[0] // 9)) > 100 and np.ptp(first[0]) > 0.9 * n
    assert 100 < len(np.unique(first // 9)) < 600


def test_a_part_of_a_split_and_several_sets_together(prepared, mesh, small):
    source = load(prepared[TFRECORD], unlabeled='tfds:shots')
    both = concat([source.train.hide(), source.unlabeled]).take(np.arange(0, 2 * COUNT, 3))
    assert native.of(both)
    places = []
    for images, at in batches(feed(both, mesh), 0, 25):
        assert apart(images, both.read(at)) <= 1
        places += at.tolist()
    assert sorted(places[:100]) == list(range(100))


def test_odd_images_are_those_of_other_sources(train, mesh):
    """One that is turned by EXIF, and one with a palette."""
    records = native.of(train)
    assert records.odd.sum() == 2
    for images, places in batches(feed(train, mesh, 30), 0, 5):
        for image, place in zip(images, places):
            if records.odd[place]:
                assert np.array_equal(image, train.read([place])[0])


def rewrite(path, change):
    """Writes the records of a TFRecord file anew, each as change(number, record) has it."""
    whole = list(tf.data.TFRecordDataset([str(path)]).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(path)) as out:
        for number, record in enumerate(whole):
            out.write(change(number, record))


def damaged(place, into):
    """A copy of a prepared dataset; the middle of the JPEG of the first one of the second shard is overwritten."""
    shutil.copytree(place, into, ignore=shutil.ignore_patterns('ssljax_*'))

    changed = []

    def change(number, record):
        start = record.find(b'\xff\xd8\xff') + 100
        if start < 100 or changed:
            return record
        changed.append(number)
        return record[:start] + b'\xff' * 200 + record[start + 200 :]

    rewrite(next((into / 'shots/1.0.0').glob('*train*-00001*')), change)
    shard = load(into).train.images.undecoded()[0].keys.shard
    return int(np.flatnonzero(shard == 1)[changed[0]])


def test_a_corrupt_image_is_replaced_or_refused(prepared, mesh, tmp_path):
    number = damaged(prepared[TFRECORD], tmp_path / 'data')
    good, bad = load(prepared[TFRECORD]).train, load(tmp_path / 'data').train
    expected, found = (batches(feed(split.hide(), mesh), 0, 25, 2) for split in (good, bad))
    different = 0
    for (images, places), (others, at) in zip(expected, found):
        assert np.array_equal(places, at)
        different += int((np.abs(images.astype(int) - others.astype(int)).max((1, 2, 3)) > 1)[at != number].sum())
        replaced = [apart(image, good.read([number])[0]) > 1 for image, place in zip(others, at) if place == number]
        assert all(replaced)
    assert len(found) == 25 and not different
    refuses = load(tmp_path / 'data', corrupt='refuse').train
    with pytest.raises(ValueError, match=rf"'shots/1.0.0 train\[{number}\]' cannot be decoded"):
        batches(feed(refuses.hide(), mesh), 0, 25, 2)


def test_a_corrupt_image_that_looks_whole_is_found_when_it_is_decoded(train, mesh, monkeypatch):
    """Its kind is known from its header; what follows is not."""
    records = native.of(train)
    truncated = records.number[60]

    def broken(images, self=train.images):
        return ValueError('truncated') if images == 60 else original(images)

    original = train.images._decode
    monkeypatch.setattr(train.images, '_decode', broken)
    monkeypatch.setattr(encoded.decoders, 'decode_into', lambda images, *a: np.zeros(len(images), bool))
    plan = native.plan

    def missing(table, number, skip):
        found = plan(table, number, skip)
        if truncated in number:
            found.place[:] += 1  # no record begins there
        return found

    monkeypatch.setattr(native, 'plan', missing)
    hidden = train.hide()
    found = batches(feed(hidden, mesh), 0, 18)
    assert len(found) == 18
    for images, places in found:
        expected = hidden.read(places)
        assert apart(images, expected) <= 1


def test_evaluation_is_in_order(prepared, mesh, monkeypatch):
    split = load(prepared[TFRECORD]).test
    monkeypatch.setattr(feeds, 'fits_devices', lambda *a: False)
    found = list(feeds.eval_batches(split, batch_size=8, mesh=mesh))
    images, labels, mask = (np.concatenate([b[k] for b in found]) for k in ('image', 'label', 'mask'))
    assert len(found) == 4 and mask.sum() == 30 and not images[30:].any()
    assert np.array_equal(labels[:30], split.labels) and apart(images[:30], split.read(np.arange(30))) <= 1


def test_nothing_calls_python_and_no_gpu_is_taken(train):
    records = native.of(train)
    window = native.plan(records.table, records.number[:20], records.odd[:20])
    dataset = native.pipeline(records, [window], [8, 8, 4])
    graph = tf.raw_ops.DatasetToGraphV2(input_dataset=dataset._variant_tensor).numpy()
    assert b'DecodeAndCropJpeg' in graph and b'TFRecordDatasetV2' in graph
    assert not any(name in graph for name in (b'PyFunc', b'EagerPyFunc'))
    assert tf.config.get_visible_devices('GPU') == []
    assert [len(x) for x in dataset] == [8, 8, 4]


def test_labels_are_read_once(prepared, monkeypatch, tmp_path):
    for kind in prepared:
        copy = tmp_path / kind
        shutil.copytree(prepared[kind], copy)
        first, looked = load(copy), []
        read = shard_index._read
        monkeypatch.setattr(shard_index, '_read', lambda *a: looked.append(a[-1]) or read(*a))  # noqa: B023
        assert (copy / 'shots/1.0.0/ssljax_train.npz').is_file()
        again = load(copy)
        assert not looked and np.array_equal(again.train.labels, first.train.labels)
        assert again.train.digest() == first.train.digest()
        (copy / 'shots/1.0.0/ssljax_train.npz').write_bytes(b'PK damaged')
        assert np.array_equal(load(copy).train.labels, first.train.labels) and looked == ['train']
        monkeypatch.undo()


def test_labels_of_other_data_are_read_anew(prepared, tmp_path):
    place = tmp_path / 'data'
    shutil.copytree(prepared[TFRECORD], place)
    first = next((place / 'shots/1.0.0').glob('shots-train.tfrecord-00000*'))

    def change(number, record):
        found = tf.train.Example.FromString(record)
        found.features.feature['label'].int64_list.value[0] = number % 3
        found.features.feature['more'].bytes_list.value.append(b'another size')
        return found.SerializeToString()

    rewrite(first, change)
    count = len(list(tf.data.TFRecordDataset([str(first)])))
    table = load(place).train.images.undecoded()[0].keys
    assert table.about.label[:count].tolist() == [number % 3 for number in range(count)]


def test_labels_are_kept_in_the_cache_where_the_data_cannot_be_written_to(prepared, tmp_path, monkeypatch):
    kept = shard_index.files.write_npz
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    place = tmp_path / 'data'
    shutil.copytree(prepared[TFRECORD], place, ignore=shutil.ignore_patterns('ssljax_*'))

    def write(path, arrays):
        if str(path).startswith(str(place)):
            raise PermissionError(13, 'Permission denied')
        kept(path, arrays)

    monkeypatch.setattr(shard_index.files, 'write_npz', write)
    labels = load(place).train.labels
    assert len(list((tmp_path / 'home/.cache/ssljax/tfds').glob('*.npz'))) == 2
    monkeypatch.setattr(shard_index, '_read', None)
    assert np.array_equal(load(place).train.labels, labels)


def test_a_file_that_was_cut_short(prepared, tmp_path):
    for kind, message in ((TFRECORD, r'tfrecord-00001-of-00004 (ends within|has) \d+|ends within record'),
                          (ARRAY_RECORD, 'array_record-00001')):  # fmt: skip
        place = tmp_path / kind
        shutil.copytree(prepared[kind], place, ignore=shutil.ignore_patterns('ssljax_*'))
        path = next((place / 'shots/1.0.0').glob('*train*-00001*'))
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(ValueError, match=message):
            load(place)


def test_the_index_is_made_by_several_processes(prepared, processes, monkeypatch):
    monkeypatch.setattr(shard_index, '_SMALL', 0)
    monkeypatch.setattr(decoders, '_here', None)  # nothing is read in this process
    found = load(prepared[TFRECORD]).train.images.undecoded()[0].keys
    shards = [shard_index.Shard(p, 0, int((found.shard == i).sum())) for i, p in enumerate(found.paths)]
    again = shard_index._read(TFRECORD, shards, [1] * len(shards), 'train')
    for a, b in zip(again, found.about):
        assert np.array_equal(a, b) and a.dtype == b.dtype


def test_an_example_is_read_without_tensorflow():
    for label in (0, 3, 300, -1):
        feature = {
            'image': tf.train.Feature(bytes_list=tf.train.BytesList(value=[b'\0\1' * 200])),
            'label': tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            'box': tf.train.Feature(float_list=tf.train.FloatList(value=[0.5, 2])),
            'name': tf.train.Feature(bytes_list=tf.train.BytesList(value=[b'a', b'b'])),
        }
        data = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
        assert example.image_and_label(data) == (b'\0\1' * 200, label)
    feature.pop('label')
    data = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    assert example.image_and_label(data)[1] == -1
    feature.pop('image')
    data = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    for given, message in ((data, "no feature 'image'"), (b'\xff' * 9, 'is not a tf.train.Example')):
        with pytest.raises(ValueError, match=message):
            example.image_and_label(given)


def test_kinds():
    def saved(image, kind, **options):
        out = io.BytesIO()
        image.save(out, kind, **options)
        return out.getvalue()

    rgb = Image.fromarray(smooth(0, 12, 10))
    plain, turned = Image.Exif(), Image.Exif()
    plain[0x010E], turned[0x0112] = 'a camera', 3
    for data in (saved(rgb, 'JPEG'), saved(rgb, 'PNG')):
        assert kinds.of(data[:-20])[0] == kinds.OTHER, 'it was cut short'
    for data, expected in (
        (saved(rgb, 'JPEG'), kinds.JPEG_RGB),
        (saved(rgb.convert('L'), 'JPEG'), kinds.JPEG_GRAY),
        (saved(rgb, 'JPEG', exif=plain), kinds.JPEG_RGB),
        (saved(rgb, 'JPEG', exif=turned), kinds.OTHER),
        (saved(rgb.convert('CMYK'), 'JPEG'), kinds.OTHER),
        (saved(rgb, 'PNG'), kinds.PNG_RGB),
        (saved(rgb.convert('L'), 'PNG'), kinds.PNG_GRAY),
        (saved(rgb, 'PNG', transparency=(1, 2, 3)), kinds.OTHER),
        (saved(rgb.convert('RGBA'), 'PNG'), kinds.OTHER),
        (saved(rgb.convert('P'), 'PNG'), kinds.OTHER),
        (saved(Image.fromarray(np.zeros((12, 10), np.uint16)), 'PNG'), kinds.OTHER),
        (saved(rgb, 'WEBP'), kinds.OTHER),
    ):
        found, pixels = kinds.of(data)
        assert found == expected and pixels == (0 if data[:4] == b'RIFF' else 120)
    assert kinds.of(b'\xff\xd8') == kinds.of(b'') == (kinds.OTHER, 0)


def test_other_formats_and_too_many_odd_images(prepared):
    from ssljax.data.sources import tfds as source

    builder = SimpleNamespace(info=SimpleNamespace(file_format=SimpleNamespace(value='riegeli'), full_name='a/1.0.0'),
                              data_path='/data')  # fmt: skip
    with pytest.raises(ValueError, match="a/1.0.0 in '/data' is prepared as riegeli.*array_record or tfrecord"):
        source._split(builder, 'train')
    gray = load(prepared[TFRECORD], channels=1, image_size=16).train
    assert native.of(gray) is None  # colours become gray as decode.py has them
    assert gray.read([0]).shape == (1, 16, 16, 1)
    assert decode.Fit(16, 1).channels == 1


def test_a_bucket(train, mesh, small, monkeypatch):
    """TensorFlow's file system in memory stands for one: both are URLs to it."""
    files = train.images.undecoded()[0]
    table, urls = files.keys, []
    for path in table.paths:
        urls.append('ram://data/' + path.rpartition('/')[2])
        tf.io.gfile.copy(path, urls[-1], overwrite=True)
    shards = [shard_index.Shard(url, 0, int((table.shard == i).sum())) for i, url in enumerate(urls)]
    found = shard_index.table(TFRECORD, shards, 'ram://data', 'train')
    assert all(np.array_equal(a, b) for a, b in zip(found.about, table.about)) and not found.portable
    assert tf.io.gfile.exists('ram://data/ssljax_train.npz')
    monkeypatch.setattr(shard_index, '_read', None)
    shard_index.table(TFRECORD, shards, 'ram://data', 'train')
    far = folder.Files(files.names, files.sizes, files.crcs, found, found.reader, found.portable)
    numbers, fit = train.images.undecoded()[1:]
    labels = found.about.label[numbers]
    images = encoded.FileImages(far, numbers, labels, shape=(16, 16, 3), fit=fit, corrupt='skip', like='')
    split = Split(images, labels)
    assert np.array_equal(split.read([5, 70]), train.read([5, 70]))
    for (one, _), (two, _) in zip(batches(feed(split, mesh), 3, 9), batches(feed(train, mesh), 3, 9)):
        assert np.array_equal(one, two)


def test_a_bucket_that_tensorflow_cannot_read():
    with pytest.raises(
        ValueError, match="data_dir='s3://mine/tfds': TensorFlow cannot read such URLs, only .*gs://.*mount"
    ):
        load('s3://mine/tfds')


def test_a_run(prepared, config, tmp_path):
    """Pretraining on a stream, labelled images from memory; names are those of TensorFlow Datasets."""
    config.data.update(source='tfds:shots', data_dir=str(prepared[TFRECORD]), image_size=8, path='stream')
    config.data.update(channels=3, labels='15', val='30')
    config.pretrain.update(steps=8, evals=1)
    config.transfer.ways = ('frozen',)
    assert 'frozen' in experiment.run(config, tmp_path / 'run')['summary']
    assert (tmp_path / 'run/seed0/labels.txt').read_text().startswith('shots/1.0.0 train[')
    assert files.read_json(tmp_path / 'run/seed0/pretrain/done.json')['path'] == 'stream'


@pytest.mark.parametrize('kind', [TFRECORD, ARRAY_RECORD])
def test_what_is_not_as_its_index_says_is_refused(kind, prepared, tmp_path):
    """A damaged image may still be decoded, and a label that was changed leaves a file as long as it was."""
    place = tmp_path / 'copied'
    shutil.copytree(prepared[kind], place)
    split = load(place).train
    split.read(np.arange(COUNT))
    about = split.images._files.keys.about
    about.crc[5] ^= 1
    about.label[9] = (about.label[9] + 1) % 3
    for row in (5, 9):
        with pytest.raises(ValueError, match='has a different image or label .* delete the index') as caught:
            split.read(np.array([row]))
        assert isinstance(caught.value, Changed) and str(place) in str(caught.value)


def test_a_byte_that_changed_after_the_index_is_found(prepared, tmp_path):
    place = tmp_path / 'copied'
    shutil.copytree(prepared[TFRECORD], place)
    table = load(place).train.images._files.keys
    path, begin, *_ = table[20]
    with open(path, 'r+b') as f:
        f.seek(begin + 12 + int(0.75 * table.about.size[20]))
        byte = f.read(1)[0]
        f.seek(-1, 1)
        f.write(bytes([byte ^ 16]))
    split = load(place).train
    items = [np.arange(i, i + 15) for i in range(0, COUNT, 15)]
    with pytest.raises(Changed, match='has a different image or label'):
        hidden = split.hide()
        list(native.read_ahead(hidden, native.of(hidden), items, lambda *_: [], 1, lambda *both: both))


def test_a_file_that_is_missing_is_named(prepared, tmp_path):
    shutil.copytree(prepared[TFRECORD], tmp_path / 'copied')
    lost = sorted((tmp_path / 'copied').rglob('*train*tfrecord*'))[2]
    lost.unlink()
    with pytest.raises(FileNotFoundError, match=f'{lost.name} is missing: restore the file'):
        load(tmp_path / 'copied')


@pytest.mark.parametrize('name', ['a b', 'Fashion-MNIST!', '/any/path', 'mnist/', 'fashion_mnst'])
def test_a_name_that_is_no_builder(name):
    pytest.importorskip('tensorflow_datasets')
    config = base().data
    config.source = f'tfds:{name}'
    with pytest.raises(ValueError, match='TensorFlow Datasets has no builder'):
        sources.load(config)
