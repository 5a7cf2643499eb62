//! Bodies: puts from streams, readers and memory, and reads as streams.

use std::error::Error as StdError;
use std::ops::RangeBounds;

use bytes::Bytes;
use futures_util::Stream;
use partstore::{
    Key, Object, ObjectOptions, ObjectReader, Part, PartNumber, PartOptions, PartReader, Result,
    Upload,
};
#[cfg(doc)]
use partstore::{ObjectWriter, PartStore, PartWriter};
use tokio::io::AsyncRead;

use crate::{
    AsyncObjectReader, AsyncObjectWriter, AsyncPartReader, AsyncPartStore, AsyncPartWriter,
    AsyncReader, AsyncWriter, ByteStream, Reader, Writer,
};

impl AsyncPartStore {
    /// Puts a part whose bytes come from a stream, which is read to its end.
    ///
    /// All that can be refused before the body is refused before the stream is asked for bytes.
    ///
    /// # Errors
    /// As for [`PartStore::part_writer`], [`AsyncWriter::write_from`] and [`PartWriter::finish`].
    pub async fn put_part_stream<S, E>(
        &self,
        upload: &Upload,
        number: PartNumber,
        body: S,
        options: PartOptions,
    ) -> Result<Part>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let writer = self.part_writer(upload, number, options).await?;
        writer.write_from(body).await?.finish().await
    }

    /// Puts a part whose bytes come from an [`AsyncRead`], which is read to its end.
    ///
    /// # Errors
    /// As for [`put_part_stream`](Self::put_part_stream).
    pub async fn put_part_reader(
        &self,
        upload: &Upload,
        number: PartNumber,
        body: impl AsyncRead,
        options: PartOptions,
    ) -> Result<Part> {
        let writer = self.part_writer(upload, number, options).await?;
        writer.write_from_reader(body).await?.finish().await
    }

    /// Puts an object whose bytes come from a stream, which is read to its end.
    ///
    /// All that can be refused before the body is refused before the stream is asked for bytes.
    ///
    /// # Errors
    /// As for [`PartStore::object_writer`], [`AsyncWriter::write_from`] and [`ObjectWriter::finish`].
    pub async fn put_object_stream<S, E>(
        &self,
        key: impl Into<Key>,
        body: S,
        options: ObjectOptions,
    ) -> Result<Object>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let writer = self.object_writer(key, options).await?;
        writer.write_from(body).await?.finish().await
    }

    /// Puts an object whose bytes come from an [`AsyncRead`], which is read to its end.
    ///
    /// # Errors
    /// As for [`put_object_stream`](Self::put_object_stream).
    pub async fn put_object_reader(
        &self,
        key: impl Into<Key>,
        body: impl AsyncRead,
        options: ObjectOptions,
    ) -> Result<Object> {
        let writer = self.object_writer(key, options).await?;
        writer.write_from_reader(body).await?.finish().await
    }

    /// Begins to receive a part. It is for bodies that come in pieces of their own, or with checksums behind them.
    ///
    /// # Errors
    /// As for [`PartStore::part_writer`].
    pub async fn part_writer(
        &self,
        upload: &Upload,
        number: PartNumber,
        options: PartOptions,
    ) -> Result<AsyncPartWriter> {
        let upload = upload.clone();
        self.writer_by(move |store| store.part_writer(&upload, number, options))
            .await
    }

    /// Begins to receive an object. It is for bodies that come in pieces of their own, or with checksums behind them.
    ///
    /// # Errors
    /// As for [`PartStore::object_writer`].
    pub async fn object_writer(
        &self,
        key: impl Into<Key>,
        options: ObjectOptions,
    ) -> Result<AsyncObjectWriter> {
        let key = key.into();
        self.writer_by(move |store| store.object_writer(key, options))
            .await
    }

    /// Puts a part whose bytes are in memory.
    ///
    /// # Errors
    /// As for [`PartStore::put_part`].
    pub async fn put_part(
        &self,
        upload: &Upload,
        number: PartNumber,
        body: impl Into<Bytes>,
    ) -> Result<Part> {
        self.put_part_with(upload, number, body, PartOptions::new())
            .await
    }

    /// Puts a part whose bytes are in memory, and checks what was declared about them.
    ///
    /// # Errors
    /// As for [`PartStore::put_part_with`].
    pub async fn put_part_with(
        &self,
        upload: &Upload,
        number: PartNumber,
        body: impl Into<Bytes>,
        options: PartOptions,
    ) -> Result<Part> {
        let (upload, body) = (upload.clone(), body.into());
        self.run(move |store| store.put_part_with(&upload, number, body, options))
            .await
    }

    /// Puts an object whose bytes are in memory.
    ///
    /// # Errors
    /// As for [`PartStore::put_object`].
    pub async fn put_object(&self, key: impl Into<Key>, body: impl Into<Bytes>) -> Result<Object> {
        self.put_object_with(key, body, ObjectOptions::new()).await
    }

    /// Puts an object whose bytes are in memory, as the options say.
    ///
    /// # Errors
    /// As for [`PartStore::put_object_with`].
    pub async fn put_object_with(
        &self,
        key: impl Into<Key>,
        body: impl Into<Bytes>,
        options: ObjectOptions,
    ) -> Result<Object> {
        let (key, body) = (key.into(), body.into());
        self.run(move |store| store.put_object_with(key, body, &options))
            .await
    }

    /// Returns the bytes of a part of an open upload: `..` for all, or a range.
    ///
    /// # Errors
    /// As for [`PartStore::open_part`].
    pub async fn get_part(
        &self,
        upload: &Upload,
        number: PartNumber,
        range: impl RangeBounds<u64>,
    ) -> Result<ByteStream<PartReader>> {
        Ok(self.open_part(upload, number).await?.into_stream(range))
    }

    /// Returns the bytes of an object: `..` for all, or a range.
    ///
    /// # Errors
    /// As for [`PartStore::open_object`].
    pub async fn get_object(
        &self,
        object: &Upload,
        range: impl RangeBounds<u64>,
    ) -> Result<ByteStream<ObjectReader>> {
        Ok(self.open_object(object).await?.into_stream(range))
    }

    /// Returns the bytes of the current object of a key: `..` for all, or a range.
    ///
    /// # Errors
    /// As for [`PartStore::open_key`].
    pub async fn get_key(
        &self,
        key: impl Into<Key>,
        range: impl RangeBounds<u64>,
    ) -> Result<ByteStream<ObjectReader>> {
        Ok(self.open_key(key).await?.into_stream(range))
    }

    /// Opens a part of an open upload: for its head, and then for its bytes.
    ///
    /// # Errors
    /// As for [`PartStore::open_part`].
    pub async fn open_part(&self, upload: &Upload, number: PartNumber) -> Result<AsyncPartReader> {
        let upload = upload.clone();
        self.reader_by(move |store| store.open_part(&upload, number))
            .await
    }

    /// Opens an object: for its head, and then for its bytes.
    ///
    /// # Errors
    /// As for [`PartStore::open_object`].
    pub async fn open_object(&self, object: &Upload) -> Result<AsyncObjectReader> {
        let object = object.clone();
        self.reader_by(move |store| store.open_object(&object))
            .await
    }

    /// Opens the current object of a key: for its head, and then for its bytes.
    ///
    /// # Errors
    /// As for [`PartStore::open_key`].
    pub async fn open_key(&self, key: impl Into<Key>) -> Result<AsyncObjectReader> {
        let key = key.into();
        self.reader_by(move |store| store.open_key(key)).await
    }

    /// Begins to receive what `begin` has begun, on a thread of the pool: for what must be decided first, such as a
    /// condition, without another change of threads.
    ///
    /// # Errors
    /// Those of `begin`.
    pub async fn writer_by<W: Writer, E: Send + 'static>(
        &self,
        begin: impl FnOnce(&partstore::PartStore) -> Result<W, E> + Send + 'static,
    ) -> Result<AsyncWriter<W>, E> {
        let writer = self.held(begin).await?;
        Ok(AsyncWriter::new(writer, self.pool().clone(), self.limits()))
    }

    /// Reads what `open` has opened, on a thread of the pool.
    ///
    /// # Errors
    /// Those of `open`.
    pub async fn reader_by<R: Reader, E: Send + 'static>(
        &self,
        open: impl FnOnce(&partstore::PartStore) -> Result<R, E> + Send + 'static,
    ) -> Result<AsyncReader<R>, E> {
        let reader = self.held(open).await?;
        let read_len = self.options().read_len;
        Ok(AsyncReader::new(reader, self.pool().clone(), read_len))
    }
}
